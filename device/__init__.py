"""The appliance: dialog, functions, calls, service. Imports audio and models."""
