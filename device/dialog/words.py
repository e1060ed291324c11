"""Words as recognizers write them: owns how a text becomes tokens, fillers and remnants of the wake word removed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Tokens = tuple[str, ...]

_TOKEN = re.compile(
    r"\d{4}-\d{2}-\d{2}"  # 2026-12-03
    r"|\d+[:.]\d+"  # 8:30, 2.5
    r"|\d+(?:[^\W\d_]{2}(?![^\W_]))?"  # 8, 3rd, 8pm (taken apart below)
    r"|(?:[^\W\d_]\.){2,}|[^\W\d_]\.[^\W\d_]\b"  # p.m.
    r"|[^\W\d_]+(?:'[^\W\d_]+)*"  # don't
)
_TEMPLATE_WORD = re.compile(r"(?<![{<:\w'])[^\W\d_]+(?:'[^\W\d_]+)?(?![}>:\w'])")
_MAX_TOKENS = 60


class WordRules:
    """The word rules of one language, from its `words.yaml`."""

    def __init__(self, words: Mapping[str, Any]) -> None:
        fillers = words["fillers"]
        self._replace = _table(words["replace"])
        self._misheard = _table(words["misheard"])
        self._anywhere = frozenset(fillers["anywhere"])
        self._leading = _phrases(fillers["leading"]) + _phrases(words["remnants"])
        self._trailing = _phrases(fillers["trailing"]) + _phrases(words["remnants"])
        self._ordinal_endings = frozenset(words["ordinal_endings"])
        self._repairs = _phrases(words["repairs"])

    def tokens(self, text: str) -> Tokens:
        """The words of a text, one spelling each, without fillers and what is left of the wake word."""
        tokens = self.plain(text)
        return self._without_edges(tuple(t for t in tokens if t not in self._anywhere) or tokens)

    def plain(self, text: str) -> Tokens:
        """The words of a text, one spelling each; at most as many as a request can have."""
        found: list[str] = []
        for match in _TOKEN.finditer(text.lower().replace("\u2019", "'")):
            found.extend(self._split(match.group()))
            if len(found) >= _MAX_TOKENS:
                break
        return _substitute(tuple(found), self._replace)

    def spelling(self, template: str) -> str:
        """A sentence template with the spellings that `tokens` writes, so that both sides agree."""
        return _TEMPLATE_WORD.sub(self._spelled, template)

    def _spelled(self, found: re.Match[str]) -> str:
        word = found.group()
        if word in self._anywhere:
            return f"[{word}]"
        return " ".join(self._replace.get((word.lower(),), (word,)))

    def corrected(self, tokens: Tokens) -> Tokens:
        """The tokens with what recognizers often mishear put right."""
        return _substitute(tokens, self._misheard)

    def repaired(self, tokens: Tokens) -> tuple[Tokens, Tokens] | None:
        """What came before the last self-correction, and what replaces part of it."""
        for end in range(len(tokens) - 1, 0, -1):
            for phrase in self._repairs:
                if end > len(phrase) and tokens[end - len(phrase) : end] == phrase:
                    return tokens[: end - len(phrase)], tokens[end:]
        return None

    def _split(self, token: str) -> Sequence[str]:
        if "." in token and not token[0].isdigit():
            return (token.replace(".", ""),)
        digits = token.rstrip("abcdefghijklmnopqrstuvwxyz") if token[0].isdigit() else token
        if digits != token and token[len(digits) :] not in self._ordinal_endings:
            return (digits, token[len(digits) :])
        return (token,)

    def _without_edges(self, tokens: Tokens) -> Tokens:
        """Never down to nothing: "okay" alone is an answer."""
        while True:
            shorter = _without_start(tokens, self._leading)
            shorter = _without_end(shorter, self._trailing)
            if shorter == tokens:
                return tokens
            tokens = shorter


def _without_start(tokens: Tokens, phrases: Sequence[Tokens]) -> Tokens:
    for phrase in phrases:
        if len(tokens) > len(phrase) and tokens[: len(phrase)] == phrase:
            return tokens[len(phrase) :]
    return tokens


def _without_end(tokens: Tokens, phrases: Sequence[Tokens]) -> Tokens:
    for phrase in phrases:
        if len(tokens) > len(phrase) and tokens[-len(phrase) :] == phrase:
            return tokens[: -len(phrase)]
    return tokens


def _phrases(texts: Sequence[str]) -> tuple[Tokens, ...]:
    """Longest first, so that "hey jarvis" goes before "hey"."""
    return tuple(sorted((tuple(text.split()) for text in texts), key=len, reverse=True))


def _table(pairs: Mapping[str, str]) -> dict[Tokens, Tokens]:
    return {tuple(left.split()): tuple(right.split()) for left, right in pairs.items()}


def _substitute(tokens: Tokens, table: Mapping[Tokens, Tokens]) -> Tokens:
    longest = max(map(len, table), default=0)
    result: list[str] = []
    at = 0
    while at < len(tokens):
        for size in range(min(longest, len(tokens) - at), 0, -1):
            if (new := table.get(tokens[at : at + size])) is not None:
                result.extend(new)
                at += size
                break
        else:
            result.append(tokens[at])
            at += 1
    return tuple(result)
