"""Speech with Piper and its voice joe; GPL-3.0, so the appliance runs it in a child process (models/host.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.catalog import resolve
from models.engines import Clause, EngineError, EngineUnavailable, ModelUnavailable
from models.loudness import placed
from models.ort import StoppableSession, open_session
from models.voicing import voiced_clauses
from models.word_times import Timeline, Voiced

_GAIN = 2.0
"""The voice speaks at -26 dBFS; fixed, because Piper's own normalisation makes short sentences the loudest."""
_LENGTHS = "/Ceil_output_0"
"""The tensor with each phoneme's length: as the graph's second output the package makes alignments of it."""


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
        self._session = StoppableSession(open_session(model, threads=1, also=_LENGTHS))
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

    def _voiced(self, text: str) -> Voiced:
        line, audio, length = Timeline(), [], 0
        for chunk in self._voice.synthesize(text, self._settings, include_alignments=True):
            for phoneme in chunk.phoneme_alignments or ():
                line.add(phoneme.phoneme, int(phoneme.num_samples))
            audio.append(chunk.audio_float_array)
            length += len(chunk.audio_float_array)
            line.close(length)
        if not audio:
            return Voiced(np.zeros(0, np.int16))
        lead, pcm = placed(np.concatenate(audio), self._rate, _GAIN)
        return Voiced(pcm, line.trimmed(lead, len(pcm)))
