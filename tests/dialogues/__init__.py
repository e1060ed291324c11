"""Scripted dialogues and the small house they are played in."""
