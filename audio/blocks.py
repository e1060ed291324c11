"""Owns the ring between a card's callback and the pump: one writer, one reader, no lock, no allocation."""

from __future__ import annotations

import numpy as np

from audio.frames import Pcm


class SampleRing:
    """Samples from exactly one writing thread to exactly one reading thread.

    Each index is written by one side only and published after the samples it covers, so neither side ever waits. The
    indices count all samples since the start; the position in the memory is the index modulo the capacity.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a ring needs room for one sample at least")
        self._data: Pcm = np.zeros(capacity, np.int16)
        self._written = 0
        self._read = 0
        self._discarded = 0

    @property
    def capacity(self) -> int:
        return len(self._data)

    @property
    def level(self) -> int:
        """Samples waiting to be read."""
        return self._written - max(self._read, self._discarded)

    def write(self, pcm: Pcm) -> int:
        """Writer: append what fits; returns how many samples did not fit and were dropped."""
        size = len(self._data)
        # What was discarded stays occupied until the reader has moved past it: it may be copying from there.
        count = min(len(pcm), size - (self._written - self._read))
        at = self._written % size
        first = min(count, size - at)
        self._data[at : at + first] = pcm[:first]
        self._data[: count - first] = pcm[first:count]
        self._written += count
        return len(pcm) - count

    def discard(self) -> None:
        """Writer: the reader skips everything written so far."""
        self._discarded = self._written

    def read_into(self, out: Pcm) -> int:
        """Reader: fill `out` from its start as far as samples are waiting; returns how many were copied."""
        size = len(self._data)
        start = max(self._read, self._discarded)
        count = min(len(out), self._written - start)
        at = start % size
        first = min(count, size - at)
        out[:first] = self._data[at : at + first]
        out[first:count] = self._data[: count - first]
        self._read = start + count
        return count

    def read(self) -> Pcm:
        """Reader: everything that waits, as a new array."""
        out = np.empty(self.level, np.int16)
        return out[: self.read_into(out)]
