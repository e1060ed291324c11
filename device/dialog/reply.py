"""What a dialog hands back for one turn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """The user agreed (or it is an emergency): call that destination."""

    destination: str
    reason: str
    """Stable: "asked-for", "not-understood", "emergency", or a function's own."""
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class ClearAlert:
    """Stop what rings."""

    alert: str


Effect = PlaceCall | ClearAlert


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: what to say, and what the app has to do."""

    id: str
    """By which `Dialog.heard` learns what was really heard of it; the turn's prefix."""
    text: str
    """Empty: the turn ends in silence."""
    code: str
    """Stable: "answered", "asked", "not-understood", "refused", "error", "still-working", "cancelled", "stopped",
    "calling", "declined"."""
    phrases: tuple[str, ...] = ()
    """What is expected next, for the recognizer."""
    follow_up: bool = False
    """Keep listening without the wake word."""
    interruptible: bool = True
    effects: tuple[Effect, ...] = ()
    committed: bool = False
    """A function's effect is recorded: this must be spoken, also after a restart."""
