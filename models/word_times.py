"""When each word of a reply sounds: a voice's phonemes and their lengths, brought to the words as they stood in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from models.engines import Pcm, WordTime
from models.spoken import spoken


@dataclass(frozen=True, slots=True)
class Group:
    """Phonemes that a voice says without a gap: a word, or a few short ones ("on the")."""

    phonemes: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Voiced:
    """The audio of one piece of text, and its groups in samples of it."""

    pcm: Pcm
    groups: tuple[Group, ...] = ()


@dataclass(slots=True)
class Timeline:
    """Collects a sentence's phonemes with their lengths, one after the other."""

    groups: list[Group] = field(default_factory=list)
    _at: int = 0
    _open: Group | None = None

    def add(self, phoneme: str, samples: int) -> None:
        """A phoneme, a stop, or the gap between two words."""
        start, self._at = self._at, self._at + samples
        if phoneme.isspace():
            self.close()
        elif any(map(str.isalpha, phoneme)):
            before = self._open or Group(0, start, start)
            self._open = Group(before.phonemes + 1, before.start, self._at)

    def close(self, length: int | None = None) -> None:
        """The end of a word; with `length` the end of a sentence that is so long."""
        if self._open is not None:
            self.groups.append(self._open)
            self._open = None
        if length is not None:
            self._at = length

    def trimmed(self, lead: int, length: int) -> tuple[Group, ...]:
        """The groups in the audio that is left when `lead` samples are cut off its beginning."""
        return tuple(
            Group(group.phonemes, min(max(group.start - lead, 0), length), min(max(group.end - lead, 0), length))
            for group in self.groups
        )


def joined(pieces: Sequence[Voiced]) -> Voiced:
    """Pieces one after the other."""
    if not pieces:
        return Voiced(np.zeros(0, np.int16))
    starts = accumulate((len(piece.pcm) for piece in pieces), initial=0)
    groups = tuple(
        Group(group.phonemes, start + group.start, start + group.end)
        for start, piece in zip(starts, pieces, strict=False)
        for group in piece.groups
    )
    return Voiced(np.concatenate([piece.pcm for piece in pieces]), groups)


def word_times(text: str, said: str, groups: Sequence[Group]) -> tuple[WordTime, ...]:
    """The times of the words of `text`, which was spoken as `said`; empty where the voice told none.

    As exact as the voice where a group is a word. Where words run together ("of the"), or one became several, their
    lengths tell which those are, and a word's share of the letters is its share of the time: an estimate.
    """
    words, spelled = text.split(), said.split()
    if not words or not spelled or not groups:
        return ()
    times = _shared([len(word) for word in spelled], groups)
    front = _same(words, spelled)
    back = _same(words[front:][::-1], spelled[front:][::-1])
    until, till = len(words) - back, len(spelled) - back
    before = times[front - 1].end if front else 0
    found = [*times[:front], *_within(words[front:until], times[front:till], before), *times[till:]]
    return tuple(WordTime(word, one.start, one.end) for word, one in zip(words, found, strict=True))


def _same(words: Sequence[str], spelled: Sequence[str]) -> int:
    """How many words at the beginning are said as they are written."""
    pairs = zip(words, spelled, strict=False)
    return next((n for n, (word, said) in enumerate(pairs) if word != said), min(len(words), len(spelled)))


def _within(words: Sequence[str], times: Sequence[Group], at: int) -> list[Group]:
    """The words that are said otherwise than they are written; `at` is where they begin."""
    if not words:
        return []
    if not times:
        # A dash alone is not said: it takes no time.
        return [Group(1, at, at) for _ in words]
    counts = [len(spoken(word).split()) for word in words]
    if sum(counts) == len(times) and all(counts):
        return [_span(times[a:b]) for a, b in pairwise(accumulate(counts, initial=0))]
    return _shared([len(word) for word in words], times)


def _shared(weights: Sequence[int], groups: Sequence[Group]) -> list[Group]:
    """As many groups as there are weights, over the same time."""
    phonemes = [group.phonemes for group in groups]
    if len(weights) <= len(groups):
        return [_span(groups[a:b]) for a, b in pairwise(_runs(phonemes, weights))]
    found = []
    for group, (a, b) in zip(groups, pairwise(_runs(weights, phonemes)), strict=True):
        shares = np.cumsum([0, *weights[a:b]]) / sum(weights[a:b])
        bounds = [group.start + round(float(share) * (group.end - group.start)) for share in shares]
        found += [Group(weight, *span) for weight, span in zip(weights[a:b], pairwise(bounds), strict=True)]
    return found


def _runs(many: Sequence[int], few: Sequence[int]) -> list[int]:
    """Where `many` is cut into as many runs as there are `few`, so that the runs' sums are most like these."""
    sums = np.cumsum([0, *many]) * (sum(few) / sum(many))
    spare = len(many) - len(few)
    best = {0: (0.0, [0])}
    for n, wanted in enumerate(few, 1):
        best = {
            end: min(
                (cost + float(sums[end] - sums[start] - wanted) ** 2, [*bounds, end])
                for start, (cost, bounds) in best.items()
                if start < end
            )
            for end in range(n, n + spare + 1)
        }
    return best[len(many)][1]


def _span(groups: Sequence[Group]) -> Group:
    return Group(sum(group.phonemes for group in groups), groups[0].start, groups[-1].end)
