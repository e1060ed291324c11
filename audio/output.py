"""Owns what the core has to say since it was last asked: events that happened, commands to be carried out."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from audio.commands import Command
from audio.events import Event
from audio.frames import Samples


class Output(NamedTuple):
    """Both in their order."""

    events: tuple[Event, ...]
    commands: tuple[Command, ...]


class Outgoing:
    """Collects until it is taken."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self.commands: list[Command] = []

    def emit(self, event: Event, now: Samples) -> None:
        """It happened now, unless it says when."""
        self._events.append(event if event.at else replace(event, at=now))

    def take(self) -> Output:
        output = Output(tuple(self._events), tuple(self.commands))
        self._events.clear()
        self.commands.clear()
        return output
