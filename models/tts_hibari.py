"""Speech with hibari and its voice heart: Apache-2.0 and several times cheaper than Piper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.catalog import resolve
from models.engines import Clause, EngineError, EngineUnavailable
from models.loudness import placed
from models.ort import StoppableSession, open_session
from models.voicing import voiced_clauses
from models.word_times import Timeline, Voiced

_GAIN = 1.8
"""+5 dB: the voice speaks at -25 dBFS."""
_SEED = 0
"""Fixes the noise in the voice: the same text gives the same audio."""
_LENGTHS = "/Clip_output_0"
"""The tensor with each phoneme's length, in units of 25 ms."""
_UNIT = 600


class _Aligned:
    """The session as the package expects it; keeps the lengths of the last run."""

    def __init__(self, session: StoppableSession) -> None:
        self._session = session
        self.lengths: list[int] = []

    def run(self, outputs: Any, feeds: Any) -> Any:
        *values, lengths = self._session.run(outputs, feeds)
        self.lengths = [round(float(length)) * _UNIT for length in lengths]
        return values


class HibariSynthesizer:
    """One voice, 24 kHz; the voice name is never passed on, because other voices are fetched from the network."""

    def __init__(self, threads: int = 1, speed: float = 1.0) -> None:
        """`speed` above 1 speaks faster."""
        self._threads = threads
        self._speed = speed
        self._session: StoppableSession | None = None
        self._aligned: _Aligned | None = None
        self._voice: Any = None
        self._rate = 0

    def load(self) -> None:
        model = resolve("hibari-heart")
        try:
            from hibari import SAMPLE_RATE, Hibari
        except ImportError as error:
            raise EngineUnavailable("hibari is not installed: pip install hibari-tts") from error
        self._voice = Hibari(threads=self._threads)
        self._session = StoppableSession(open_session(model, self._threads, also=_LENGTHS))
        self._voice.sess = self._aligned = _Aligned(self._session)
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

    def _voiced(self, text: str) -> Voiced:
        assert self._aligned is not None
        line, audio, length = Timeline(), [], 0
        noise = np.random.default_rng(_SEED)
        known = self._voice.vocab
        for phonemes in self._voice.phonemize(text):
            sentence = self._voice.from_ids(self._voice.ids(phonemes), self._speed, noise)
            if not len(sentence):
                continue
            # Silence stands before the first phoneme and after the last.
            for phoneme, samples in zip(
                ("", *(one for one in phonemes if one in known)), self._aligned.lengths, strict=False
            ):
                line.add(phoneme, samples)
            audio.append(sentence)
            length += len(sentence)
            line.close(length)
        if not audio:
            return Voiced(np.zeros(0, np.int16))
        lead, pcm = placed(np.concatenate(audio), self._rate, _GAIN)
        return Voiced(pcm, line.trimmed(lead, len(pcm)))
