"""The function contract: one typed function serves the voice, a text session and a call."""
