"""Speech with Piper and its voice joe; GPL-3.0, so the appliance runs it in a child process (models/host.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.catalog import resolve
from models.engines import Clause, EngineError, EngineUnavailable, ModelUnavailable, Pcm
from models.loudness import finished
from models.ort import StoppableSession, open_session
from models.voicing import voiced_clauses

_GAIN = 2.0
"""The voice speaks at -26 dBFS; fixed, because Piper's own normalisation makes short sentences the loudest."""


class PiperSynthesizer:
    """The same text gives the same audio: the voice's noise is off, which also keeps cached replies valid."""

    def __init__(self, length_scale: float = 1.0) -> None:
        """`length_scale` above 1 speaks slower."""
        self._length_scale = length_scale
        self._session: StoppableSession | None = None
        self._voice: Any = None
        self._settings: Any = None
        self._rate = 0

    def load(self) -> None:
        model, config = resolve("piper-joe"), resolve("piper-joe-config")
        try:
            from piper import PiperConfig, PiperVoice, SynthesisConfig
        except ImportError as error:
            raise EngineUnavailable("piper is not installed: pip install piper-tts") from error
        try:
            settings = PiperConfig.from_dict(json.loads(config.read_text("utf-8")))
        except (ValueError, KeyError) as error:
            raise ModelUnavailable(f"{config} does not describe a Piper voice") from error
        # One thread: a reply is short, and the other cores belong to listening.
        self._session = StoppableSession(open_session(model, threads=1))
        self._voice = PiperVoice(session=self._session, config=settings)
        self._rate = settings.sample_rate
        self._settings = SynthesisConfig(
            length_scale=self._length_scale, noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False
        )
        # The first inference takes twice as long as later ones.
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
        chunks = [chunk.audio_float_array for chunk in self._voice.synthesize(text, self._settings)]
        if not chunks:
            return np.zeros(0, np.int16)
        return finished(np.concatenate(chunks), self._rate, _GAIN)
