"""Owns audio that waits: re-blocking into frames, and the pre-roll addressed by sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audio.frames import FRAME, Pcm, Samples


class Reblocker:
    """Cuts audio of any block length into frames; what is left waits for the next block."""

    def __init__(self, size: int = FRAME) -> None:
        self._size = size
        self._rest: Pcm = np.zeros(0, np.int16)

    def push(self, block: Pcm) -> Iterator[Pcm]:
        data = np.concatenate([self._rest, block]) if len(self._rest) else block
        whole = len(data) - len(data) % self._size
        self._rest = data[whole:].copy()
        for start in range(0, whole, self._size):
            yield data[start : start + self._size]


class PreRoll:
    """The last `capacity` samples, read by their index on the sample clock."""

    def __init__(self, capacity: int) -> None:
        self._ring: Pcm = np.zeros(capacity, np.int16)
        self._end = 0

    @property
    def end(self) -> Samples:
        """Index behind the newest sample."""
        return Samples(self._end)

    @property
    def start(self) -> Samples:
        """Index of the oldest sample that is still here."""
        return Samples(max(0, self._end - len(self._ring)))

    def write(self, pcm: Pcm) -> None:
        """Append; `pcm` must not be longer than the capacity."""
        size = len(self._ring)
        at = self._end % size
        first = min(len(pcm), size - at)
        self._ring[at : at + first] = pcm[:first]
        self._ring[: len(pcm) - first] = pcm[first:]
        self._end += len(pcm)

    def read(self, start: Samples, end: Samples) -> Pcm:
        """A copy of [start, end), cut to what is still here."""
        begin, stop = max(start, self.start), min(end, self.end)
        if begin >= stop:
            return np.zeros(0, np.int16)
        return self._ring.take(range(begin, stop), mode="wrap")
