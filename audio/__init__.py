"""The local loop: frames in, events and commands out. Imports models, never device."""
