"""Owns the ledger of one reply: what was meant, what is synthesized, and which words were really heard."""

from __future__ import annotations

from dataclasses import dataclass, field

from audio.frames import Samples, TurnId


@dataclass(slots=True)
class SpokenReply:
    """One reply on its way to the ear; positions are samples of speech pulled from the mixer."""

    turn: TurnId
    reply: str
    follow_up: bool
    interruptible: bool
    started: Samples | None = None
    """Where its first sample was played."""
    total: int | None = None
    """Samples of the whole reply, known once synthesis has finished."""
    _clauses: list[tuple[str, int, tuple[int, ...]]] = field(default_factory=list)
    """Text and length of each clause, and where its words end."""
    _length: int = 0

    def add(self, text: str, length: int, ends: tuple[int, ...] = ()) -> None:
        self._clauses.append((text, length, ends))
        self._length += length

    def close(self) -> None:
        """No clause follows."""
        self.total = self._length

    def played(self, spoken: int) -> bool:
        """All of it has been pulled."""
        return self.total is not None and spoken >= self.total

    def heard(self, spoken: int) -> str:
        """The words that end within the first `spoken` samples; without word times a clause counts by its share."""
        words: list[str] = []
        for text, length, ends in self._clauses:
            if spoken >= length:
                words.append(text)
                spoken -= length
                continue
            clause = text.split()
            timed = len(ends) == len(clause)
            count = sum(end <= spoken for end in ends) if timed else len(clause) * spoken // length
            words.extend(clause[:count])
            break
        return " ".join(words)
