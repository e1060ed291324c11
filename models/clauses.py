"""Cuts a reply into clauses, so that its first words sound while the rest is still being synthesized."""

from __future__ import annotations

import re

_LONGEST = 200
"""Characters: the voices' memory grows with the square of a clause's length (2,000 characters took 0.7 to 1.8 GB)."""
_FEWEST = 4
"""Words on either side of a cut at a comma: shorter pieces sound torn."""
_CLOSING = "\"'\u201d\u2019)]"
_ABBREVIATIONS = re.compile(
    r"dr|mrs?|ms|prof|st|nos?|ext|tel|vs|etc|approx|dept|inc|ltd|co|jr|sr|gen|rev|sgt|capt|lt|ave|blvd|rd|apt|fig|vol"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs?|fri|sat|sun|e\.g|i\.e|[a-z]"
)
"""What keeps its full stop inside a sentence; single letters are initials."""
_HALF_DAY = frozenset(("a.m", "p.m"))


def clauses(text: str) -> list[str]:
    """The clauses of a text in order; joined by spaces they are its words again."""
    words = text.split()
    found: list[str] = []
    start = length = 0
    for position, word in enumerate(words):
        if position > start and length + 1 + len(word) > _LONGEST:
            found.append(" ".join(words[start:position]))
            start, length = position, 0
        length += len(word) + (position > start)
        after = len(words) - position - 1
        if after and (_ends_sentence(word, words[position + 1]) or _may_cut(word, position + 1 - start, after)):
            found.append(" ".join(words[start : position + 1]))
            start, length = position + 1, 0
    if start < len(words):
        found.append(" ".join(words[start:]))
    return found


def _ends_sentence(word: str, following: str) -> bool:
    bare = word.rstrip(_CLOSING)
    if bare.endswith(("!", "?", "\u2026", "\u3002")):
        return True
    if not bare.endswith("."):
        return False
    stem = bare[:-1].lstrip("\"'([\u201c\u2018").lower()
    if stem in _HALF_DAY:
        return not following[:1].islower() and not following[:1].isdigit()
    # "Dr. Smith", "No. 5", "J. Smith" and "about 5 p.m. today" go on.
    return not _ABBREVIATIONS.fullmatch(stem) and not following[:1].islower()


def _may_cut(word: str, before: int, after: int) -> bool:
    return before >= _FEWEST and after >= _FEWEST and word.rstrip(_CLOSING).endswith((",", ";", ":"))
