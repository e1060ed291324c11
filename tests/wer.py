"""Word error rate as the tests count it: digits, ordinals and spelling variants do not matter, words do."""

from __future__ import annotations

import re

import jiwer
from num2words import num2words

_SAME = {"oh": "zero", "okay": "ok", "percent": "per cent"}


def normalized(text: str) -> str:
    """Lower case words; "10001", "1-0-0-0-1" and "one oh oh oh one" come out the same."""
    text = text.lower().replace("p.m.", "p m").replace("a.m.", "a m").replace("'", "")
    text = re.sub(r"(?<=\d)[-:.,](?=\d)", " ", text)
    text = re.sub(r"\d+", lambda match: f" {_number(match[0])} ", text)
    words = re.sub(r"[^a-z]+", " ", text).split()
    return " ".join(_SAME.get(word, word) for word in words)


def _number(digits: str) -> str:
    # Three digits and more are read one by one in the recordings.
    if len(digits) < 3:
        return str(num2words(int(digits)))
    return " ".join(str(num2words(int(digit))) for digit in digits)


def wer(reference: str, hypothesis: str) -> float:
    """Wrong words per word of the reference; blanks inside compounds ("block books") are free."""
    reference, hypothesis = normalized(reference), normalized(hypothesis)
    if reference.replace(" ", "") == hypothesis.replace(" ", ""):
        return 0.0
    return float(jiwer.wer(reference, hypothesis))
