"""The last step of both synthesizers: even loudness, no clipping, and silence trimmed to a natural pause."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.engines import Pcm

Floats = npt.NDArray[np.float32]

_KNEE = 0.6
_AUDIBLE = 0.003
"""-50 dBFS: below it lies only the hiss of the voices."""
_LEAD_SECONDS = 0.03
_TRAIL_SECONDS = 0.12


def finished(audio: Floats, rate: int, gain: float) -> Pcm:
    """The voice's raw audio as it is played; empty when nothing in it is audible."""
    return placed(audio, rate, gain)[1]


def placed(audio: Floats, rate: int, gain: float) -> tuple[int, Pcm]:
    """The same, and how many samples of the raw audio's beginning were cut off."""
    loud = audio * np.float32(gain)
    kept = _kept(loud, rate)
    return kept.start, _limited(loud[kept])


def _kept(audio: Floats, rate: int) -> slice:
    audible = np.flatnonzero(np.abs(audio) > _AUDIBLE)
    if audible.size == 0:
        return slice(0, 0)
    start = max(0, int(audible[0]) - int(_LEAD_SECONDS * rate))
    return slice(start, int(audible[-1]) + 1 + int(_TRAIL_SECONDS * rate))


def _limited(audio: Floats) -> Pcm:
    # Linear up to the knee, above it bent towards full scale: peaks keep their shape instead of being cut off.
    level = np.abs(audio)
    bent = _KNEE + (1 - _KNEE) * np.tanh((level - _KNEE) / (1 - _KNEE))
    shaped = np.where(level > _KNEE, np.copysign(bent, audio), audio)
    pcm: Pcm = np.rint(shaped * 32767).astype(np.int16)
    return pcm
