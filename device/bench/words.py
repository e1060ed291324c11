"""Owns how wrong words are counted: spelling and figures are forgiven, words are not."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

_SAME = {"oh": "zero", "okay": "ok", "percent": "per cent"}
_READ_SINGLY = 3
"""Numbers of so many digits and more are read digit by digit in recordings."""


def normalized(text: str) -> list[str]:
    """Lower case words of any language; "10001", "1-0-0-0-1" and "one oh oh oh one" come out the same."""
    text = text.lower().replace("p.m.", "p m").replace("a.m.", "a m").replace("'", "").replace("\u2019", "")
    text = re.sub(r"(?<=\d)[-:.,](?=\d)", " ", text)
    text = re.sub(r"\d+", lambda match: f" {_spelled(match[0])} ", text)
    return " ".join(_SAME.get(word, word) for word in re.findall(r"[^\W\d_]+", text)).split()


def errors(reference: Sequence[Hashable], heard: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and replacements between the two."""
    row = list(range(len(heard) + 1))
    for i, said in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, found in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (said != found))
    return row[-1]


def word_errors(reference: str, heard: str) -> tuple[int, int]:
    """Wrong words and words; blanks inside compounds ("block books") are free."""
    said, found = normalized(reference), normalized(heard)
    if "".join(said) == "".join(found):
        return 0, len(said)
    return errors(said, found), len(said)


def character_errors(reference: str, heard: str) -> tuple[int, int]:
    """Wrong characters and characters, without blanks: for languages that space their words freely."""
    said, found = "".join(normalized(reference)), "".join(normalized(heard))
    return errors(said, found), len(said)


def _spelled(digits: str) -> str:
    from num2words import num2words

    if len(digits) < _READ_SINGLY:
        return str(num2words(int(digits)))
    return " ".join(str(num2words(int(digit))) for digit in digits)
