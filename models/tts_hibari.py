"""Speech with hibari and its voice heart: Apache-2.0 and several times cheaper than Piper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.catalog import resolve
from models.engines import Clause, EngineError, EngineUnavailable, Pcm
from models.loudness import finished
from models.ort import StoppableSession
from models.voicing import voiced_clauses

_GAIN = 1.8
"""+5 dB: the voice speaks at -25 dBFS."""
_SEED = 0
"""Fixes the noise in the voice: the same text gives the same audio."""


class HibariSynthesizer:
    """One voice, 24 kHz; the voice name is never passed on, because other voices are fetched from the network."""

    def __init__(self, threads: int = 1, speed: float = 1.0) -> None:
        """`speed` above 1 speaks faster."""
        self._threads = threads
        self._speed = speed
        self._session: StoppableSession | None = None
        self._voice: Any = None
        self._rate = 0

    def load(self) -> None:
        resolve("hibari-heart")
        try:
            from hibari import SAMPLE_RATE, Hibari
        except ImportError as error:
            raise EngineUnavailable("hibari is not installed: pip install hibari-tts") from error
        self._voice = Hibari(threads=self._threads)
        self._session = StoppableSession(self._voice.sess)
        self._voice.sess = self._session
        self._rate = SAMPLE_RATE
        # Loads the pronouncing dictionary too, which would otherwise delay the first reply by most of a second.
        for _ in self.synthesize("Ready when you are."):
            pass

    @property
    def rate(self) -> int:
        """Samples per second, known after `load()`."""
        return self._rate

    def synthesize(self, text: str) -> Iterator[Clause]:
        """The clauses of a text, each as soon as it is ready; the job begins with this call, not with the first one."""
        if self._session is None:
            raise EngineError("the voice is not loaded")
        self._session.arm()
        return voiced_clauses(text, self._session, self._voiced)

    def cancel(self) -> None:
        """End the running `synthesize`. From any thread."""
        if self._session is not None:
            self._session.stop()

    def _voiced(self, text: str) -> Pcm:
        sentences = list(self._voice.stream(text, speed=self._speed, seed=_SEED))
        if not sentences:
            return np.zeros(0, np.int16)
        return finished(np.concatenate(sentences), self._rate, _GAIN)
