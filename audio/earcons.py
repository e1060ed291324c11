"""Owns the short sounds: ready, heard, cannot hear, and the ring of an alert. Synthesised: no licence to mind."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from audio.frames import RATE, Pcm, ms

Earcon = Literal["ready", "heard", "cannot_hear", "ring"]

_NOTES: dict[Earcon, list[tuple[float, int]]] = {
    "ready": [(880.0, 60)],
    "heard": [(660.0, 50)],
    "cannot_hear": [(330.0, 120), (0.0, 40), (262.0, 160)],
    "ring": [(784.0, 160), (988.0, 160), (0.0, 80), (784.0, 160), (988.0, 160), (0.0, 1280)],
}
_LEVEL = 0.12


@cache
def earcon(name: Earcon) -> Pcm:
    """int16 at 16 kHz; each note fades in and out over 8 ms so that it does not click."""
    parts = []
    for hertz, length in _NOTES[name]:
        t = np.arange(ms(length)) / RATE
        ramp = np.minimum(1.0, np.minimum(t, t[::-1]) / 0.008)
        parts.append(np.sin(2 * np.pi * hertz * t) * ramp * _LEVEL)
    sound: Pcm = (np.concatenate(parts) * 32767).astype(np.int16)
    sound.setflags(write=False)
    return sound
