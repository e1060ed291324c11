"""Owns the replies that were spoken before: what is said again begins at once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """A clause as it leaves the synthesizer's job."""

    text: str
    pcm: bytes
    ends: tuple[int, ...]


class Canned:
    """The replies used last, of one synthesizer: its voice and speed never change, so the text alone is the key."""

    def __init__(self, most: int = 4 * 1024 * 1024) -> None:
        """`most` is bytes of audio: 4 MB are two minutes."""
        self._most = most
        self._replies: OrderedDict[str, tuple[Said, ...]] = OrderedDict()
        self._size = 0

    def __contains__(self, text: str) -> bool:
        return text in self._replies

    @property
    def size(self) -> int:
        """Bytes of audio kept."""
        return self._size

    def get(self, text: str) -> tuple[Said, ...] | None:
        """All clauses of the reply, if they are there."""
        found = self._replies.get(text)
        if found is not None:
            self._replies.move_to_end(text)
        return found

    def keep(self, text: str, clauses: tuple[Said, ...]) -> None:
        """Keep a whole reply, and for it forget those unused longest; one that would fill a quarter is not kept."""
        size = _size(clauses)
        if not clauses or size > self._most // 4:
            return
        self._size += size - _size(self._replies.pop(text, ()))
        self._replies[text] = clauses
        while self._size > self._most:
            _, oldest = self._replies.popitem(last=False)
            self._size -= _size(oldest)


def _size(clauses: tuple[Said, ...]) -> int:
    return sum(len(clause.pcm) for clause in clauses)
