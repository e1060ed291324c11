"""What the configuration tells the dialog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from device.dialog.times import Hours


@dataclass(frozen=True, slots=True)
class Callee:
    """Somebody who can be called, by the names people say."""

    name: str
    emergency: bool = False
    """Called without asking for consent."""


@dataclass(frozen=True, slots=True)
class DialogSettings:
    """Everything has a default."""

    language: str = "en"
    sentences: tuple[Path, ...] = ()
    """Folders or files with the user's own sentences."""
    callees: tuple[Callee, ...] = ()
    """The first one that is no emergency is offered after misunderstandings and called for "a person"."""
    hours: Callable[[date], Hours] = lambda day: ()
    """Opening hours, for an open "at eight"."""
    clock_trusted: Callable[[], bool] = lambda: True
    """False while nobody knows what day it is: then no day is asked for."""
    min_confidence: float = 0.0
    """Less than that counts as not heard."""
    context_seconds: float = 120.0
    """A talk is forgotten that long after its last turn, so that the next person at the device starts fresh."""
    most_sessions: int = 64
