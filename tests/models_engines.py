"""Engines that misbehave on purpose; the host's child process imports them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np

from models.engines import Clause, EngineUnavailable, Hypothesis, Pcm


class Talker:
    """A clause per word; some words do something else."""

    rate = 16_000

    def __init__(self, absent: bool = False) -> None:
        self._absent = absent
        self._cancelled = threading.Event()

    def load(self) -> None:
        if self._absent:
            raise EngineUnavailable("the talker is not installed: pip install talker")

    def synthesize(self, text: str) -> Iterator[Clause]:
        self._cancelled.clear()
        return self._clauses(text)

    def _clauses(self, text: str) -> Iterator[Clause]:
        for word in text.split():
            if word == "die":
                os._exit(3)
            if word == "hang":
                threading.Event().wait()
            if word == "raise":
                raise ValueError("secret words")
            if word == "slow" and self._cancelled.wait(30):
                return
            yield Clause(word, np.full(1600, len(word), np.int16))

    def cancel(self) -> None:
        self._cancelled.set()


class Counter:
    """A recognizer that hears how many samples it was fed."""

    def __init__(self) -> None:
        self._samples = 0

    def load(self) -> None:
        return

    def start(self, phrases: tuple[str, ...] = ()) -> None:
        self._samples = 0

    def feed(self, pcm: Pcm) -> None:
        self._samples += len(pcm)

    def partial(self) -> Hypothesis:
        return Hypothesis(str(self._samples), "", 0.5)

    def finish(self) -> Hypothesis:
        return Hypothesis(str(self._samples), str(self._samples))

    def abort(self) -> None:
        return
