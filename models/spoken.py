"""English text as it is said: no markup, no control characters, numbers and abbreviations in words."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable

from models import spoken_numbers as numbers

_Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_LONGEST_WORD = 40
_AMOUNT = r"\d{1,3}(?:,\d{3})+|\d+"
_HALF = r"([ap])\.?\s?m\b\.?"
_MONTH_NAMES = {name[:3]: name for name in calendar.month_name if name} | {"Sept": "September"}
_WEEKDAYS = {name[:3]: name for name in calendar.day_name}

_MARKUP: tuple[_Rule, ...] = (
    # Both voices read phonemes out of brackets: nobody but us may put any there.
    (re.compile(r"\[\[.*?\]\]", re.DOTALL), " "),
    (re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)"), r"\1"),
    (re.compile(r"</?[A-Za-z][^<>]{0,200}>"), " "),
    (re.compile(r"https?://(?:www\.)?([\w.-]+)\S*"), lambda match: match[1].rstrip(".").replace(".", " dot ")),
    (
        re.compile(r"\b([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)"),
        lambda match: f"{match[1]} at {match[2]}".replace(".", " dot "),
    ),
    (re.compile(r"\s*[\u2014\u2015]\s*|\s+-{1,3}\s+|\s\u2013\s"), ", "),
    (re.compile(r"[\u2018\u2019]"), "'"),
    (re.compile(r"[\u2010-\u2013\u2212]"), "-"),
)

_ABBREVIATIONS: tuple[_Rule, ...] = (
    (re.compile(r"\bDr\.?(?=\s+[A-Z])"), "Doctor"),
    (re.compile(r"\bMr\.?(?=\s)"), "Mister"),
    (re.compile(r"\bMrs\.?(?=\s)"), "Missus"),
    (re.compile(r"\bMs\.(?=\s)"), "Ms"),
    (re.compile(r"\bProf\.(?=\s)"), "Professor"),
    (re.compile(r"\bSt\.(?=\s+[A-Z])"), "Saint"),
    (re.compile(r"\b[Nn]os?\.\s*(?=\d)"), "number "),
    (re.compile(r"#\s?(?=\d)"), "number "),
    (re.compile(r"\b[Ee]xt\.?\s*(\d+)"), lambda match: f"extension {numbers.digits(match[1])}"),
    (re.compile(r"\bext\.", re.IGNORECASE), "extension"),
    (re.compile(r"\bvs\.?(?=\s)"), "versus"),
    (re.compile(r"\betc\."), "et cetera"),
    (re.compile(r"\be\.g\.,?"), "for example"),
    (re.compile(r"\bi\.e\.,?"), "that is"),
    (re.compile(r"\bapprox\.", re.IGNORECASE), "approximately"),
    (re.compile(r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?(?=\s+\d)"), lambda m: _MONTH_NAMES[m[1]]),
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\.?(?=,?\s+(?:\d|[A-Z][a-z]+\s+\d))"), lambda m: _WEEKDAYS[m[1]]),
    (re.compile(r"\s*&\s*"), " and "),
)

_NUMBERS: tuple[_Rule, ...] = (
    (re.compile(r"\b(\d{4}-\d{2}-\d{2})[T ](?=\d{2}:\d{2})"), r"\1 at "),
    (re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b"), numbers.iso_date),
    (
        re.compile(r"(?<![\w+])(?:\+\d{1,3}[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])?\d{3}[.-]\d{4}(?!\w|[.,-]\d)"),
        lambda match: numbers.telephone(match[0]),
    ),
    (re.compile(r"\+\d{1,3}(?:[ -]\d{2,4}){2,5}\b|\+\d{7,15}\b"), lambda match: numbers.telephone(match[0])),
    (re.compile(rf"\b([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?Z?\b(?:\s?{_HALF})?", re.I), numbers.clock),
    (
        re.compile(rf"\b(1[0-2]|0?[1-9])\s?{_HALF}", re.IGNORECASE),
        lambda match: numbers.cardinal(match[1].lstrip("0")) + numbers.half_day(match[2]),
    ),
    (
        re.compile(rf"([$\u20ac\u00a3])\s?({_AMOUNT})(?:\.(\d\d?)\b)?(?:\s(thousand|million|billion|trillion)\b)?"),
        numbers.money,
    ),
    (re.compile(rf"\b({_AMOUNT})(?:st|nd|rd|th)\b", re.IGNORECASE), lambda match: numbers.ordinal(match[1])),
    (re.compile(r"\s?%"), " percent"),
    (re.compile(r"\s?\u00b0\s?([CF])\b"), lambda m: " degrees Celsius" if m[1] == "C" else " degrees Fahrenheit"),
    (re.compile(r"\s?\u00b0"), " degrees"),
    (re.compile(r"(?<![\w.])-(?=\d)"), "minus "),
    (re.compile(r"(?<=\d)\s?-\s?(?=\d)"), " to "),
    (re.compile(r"(?<=\d)\u2044(?=\d)"), " over "),
    (re.compile(r"(?<=\d)/(?=\d)"), " slash "),
    (re.compile(r"(?<![\d.])\.(?=\d)"), " point "),
    (re.compile(rf"(?:{_AMOUNT})(?:\.\d+)*"), lambda match: f" {numbers.number(match[0])} "),
)

_TIDY: tuple[_Rule, ...] = (
    (re.compile(r"\s+"), " "),
    (re.compile(r" (?=[,.;:!?])"), ""),
    (re.compile(r"([,.;:!?])[,.;:!?]*(?=[,.;:!?])"), ""),
    (re.compile(r"^[,.;:!? ]+"), ""),
)


def spoken(text: str) -> str:
    """What a voice should read for this text; empty when there is nothing to say."""
    said = _clean(text)
    for rules in (_MARKUP, _ABBREVIATIONS, _NUMBERS):
        said = _apply(rules, said)
    said = "".join(character if _pronounceable(character) else " " for character in said)
    said = _apply(_TIDY, _short_words(said)).strip()
    return said if any(character.isalpha() for character in said) else ""


def _apply(rules: tuple[_Rule, ...], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _clean(text: str) -> str:
    # Whatever is no text goes first: a lone surrogate cannot even be encoded for the voice.
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc":
            kept.append(" ")
        elif category[0] != "C":
            kept.append(character)
    return unicodedata.normalize("NFKC", "".join(kept))


def _pronounceable(character: str) -> bool:
    return character.isalpha() or character in " ',.;:!?-" or unicodedata.category(character) in ("Mn", "Mc")


def _short_words(text: str) -> str:
    # Nobody says such a word, and the voices' memory grows with its square.
    return re.sub(rf"(\S{{{_LONGEST_WORD}}})(?=\S)", r"\1 ", text)
