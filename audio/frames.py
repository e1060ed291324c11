"""Owns the clock's unit and the frame: sample indices at 16 kHz, ten milliseconds at a time."""

from __future__ import annotations

from typing import NewType

import numpy as np
import numpy.typing as npt

Samples = NewType("Samples", int)
"""A point in time or a length, counted in samples at `RATE`. The microphone is the clock."""

TurnId = NewType("TurnId", int)
"""`epoch * TURNS_PER_EPOCH + n`, so an id never repeats over restarts of the ears."""

Pcm = npt.NDArray[np.int16]

RATE = 16_000
FRAME = 160
"""Samples in a frame: 10 ms, what the echo canceller and the voice detector want."""
TURNS_PER_EPOCH = 100_000


def ms(milliseconds: float) -> Samples:
    """The number of samples in that many milliseconds."""
    return Samples(round(milliseconds * RATE / 1000))


def seconds(samples: int) -> float:
    """For people and pictures only; the core never computes with it."""
    return samples / RATE


def silence(samples: int) -> Pcm:
    return np.zeros(samples, np.int16)
