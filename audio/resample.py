"""Owns rate change: streaming with an adjustable ratio in the loop, one-shot for recordings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from audio.frames import Pcm

MAX_STRETCH = 0.01
"""How far `ratio` may leave 1; soxr must be told the largest ratio beforehand."""


def _to_pcm(samples: npt.NDArray[np.float32]) -> Pcm:
    out: Pcm = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    return out


class Resampler:
    """int16 blocks of any length in, int16 blocks of whatever is ready out.

    soxr's variable-rate mode answers every block within about 20 ms and lets the ratio follow a drifting clock; its
    default mode delays 30 ms and delivers in bursts. It runs on float32, because its int16 mode adds dither: silence
    would no longer be silence.
    """

    def __init__(self, from_rate: int, to_rate: int, *, follow: bool = False) -> None:
        self._from = from_rate
        self._to = to_rate
        self._ratio = 1.0
        self._expected = 0.0
        self._produced = 0
        self._stream: soxr.ResampleStream | None = None
        if follow or from_rate != to_rate:
            top = from_rate * (1 + MAX_STRETCH)
            self._stream = soxr.ResampleStream(top, to_rate, 1, dtype="float32", vr=True)
            self._stream.set_io_ratio(from_rate, to_rate)

    @property
    def ratio(self) -> float:
        """Speed of the input against its nominal rate: above 1, fewer samples come out."""
        return self._ratio

    @ratio.setter
    def ratio(self, value: float) -> None:
        if self._stream is None:
            raise ValueError("equal rates pass through unless the resampler was made to follow")
        self._ratio = min(max(value, 1 - MAX_STRETCH), 1 + MAX_STRETCH)
        self._stream.set_io_ratio(self._from * self._ratio, self._to)

    @property
    def pending(self) -> int:
        """Output samples that are still inside: the delay of this stage."""
        return max(0, round(self._expected) - self._produced)

    def push(self, block: Pcm) -> Pcm:
        if self._stream is None:
            return block
        if not len(block):
            return np.zeros(0, np.int16)
        out = _to_pcm(self._stream.resample_chunk(block.astype(np.float32)))
        self._expected += len(block) * self._to / (self._from * self._ratio)
        self._produced += len(out)
        return out

    def clear(self) -> None:
        """Forget what is inside; the ratio stays."""
        self._expected, self._produced = 0.0, 0
        if self._stream is not None:
            self._stream.clear()
            self._stream.set_io_ratio(self._from * self._ratio, self._to)


def resample(pcm: Pcm, from_rate: int, to_rate: int) -> Pcm:
    """A whole recording at another rate; clips instead of wrapping."""
    if from_rate == to_rate or not len(pcm):
        return pcm
    return _to_pcm(soxr.resample(pcm.astype(np.float32), from_rate, to_rate))
