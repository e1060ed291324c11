"""Moments as the store keeps them: UTC, one width, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """A moment as text; it must be aware."""
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone cannot be stored")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read(text: str) -> datetime:
    """And back."""
    return datetime.fromisoformat(text)
