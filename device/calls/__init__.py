"""Escalation: when, to whom and through which link a call is placed."""
