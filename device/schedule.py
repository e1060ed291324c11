"""Owns when which wake word is listened for: "only after nine"."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from audio.events import WakeWordsSet
from device.functions.hours import Span


class WakeSchedule:
    """By the clock on the wall; a word without hours is always listened for."""

    def __init__(self, hours: Mapping[str, tuple[Span, ...]]) -> None:
        self._hours = hours
        self._told: tuple[str, ...] | None = None

    def at(self, now: datetime) -> WakeWordsSet:
        """For new ears."""
        minute = now.hour * 60 + now.minute
        self._told = tuple(
            word
            for word, spans in self._hours.items()
            if not spans or any(start <= minute < end for start, end in spans)
        )
        return WakeWordsSet(words=self._told)

    def changed(self, now: datetime) -> WakeWordsSet | None:
        """What to tell them since they were last told, if anything."""
        before = self._told
        event = self.at(now)
        return None if event.words == before else event
