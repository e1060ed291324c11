"""Token patterns such as "[at] half past HOUR": owns how they are written and how they are matched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from device.dialog.lexicon import Lexicon
from device.dialog.words import Tokens

Captures = tuple[tuple[str, Any], ...]

_PIECE = re.compile(r"[\[\]()|]|<\w+>|[^\s\[\]()|<>]+")


class GrammarInvalid(ValueError):
    """A pattern in a language's grammar file cannot be read."""


@dataclass(frozen=True, slots=True)
class Literal:
    word: str


@dataclass(frozen=True, slots=True)
class Value:
    atom: str


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Row:
    items: tuple[Literal | Value | Choice, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to say something, with the values it fixes by itself."""

    row: Row
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    captures: Captures
    fixed: Mapping[str, Any]
    end: int


class Grammar:
    """The patterns of one kind of value ("time")."""

    def __init__(self, entries: Sequence[Mapping[str, Any]], rules: Mapping[str, str], lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._patterns = tuple(Pattern(parse(entry["say"], rules, lexicon), entry.get("is", {})) for entry in entries)

    def matches(self, tokens: Tokens, at: int) -> list[Match]:
        """Every reading that begins at the position, the longest first."""
        found = [
            Match(captures, pattern.fixed, end)
            for pattern in self._patterns
            for end, captures in _walk(pattern.row.items, tokens, at, self._lexicon)
            if end > at
        ]
        return sorted(found, key=lambda match: -match.end)


def parse(text: str, rules: Mapping[str, str], lexicon: Lexicon) -> Row:
    """The pattern a text describes."""
    pieces = _PIECE.findall(text)
    row, end = _parse_options(pieces, 0, rules, lexicon)
    if end != len(pieces):
        raise GrammarInvalid(f"unbalanced {pieces[end]!r} in {text!r}")
    return row[0] if len(row) == 1 else Row((Choice(row),))


def _parse_options(
    pieces: Sequence[str], at: int, rules: Mapping[str, str], lexicon: Lexicon
) -> tuple[tuple[Row, ...], int]:
    rows: list[Row] = []
    items: list[Literal | Value | Choice] = []
    while at < len(pieces) and pieces[at] not in ")]":
        piece = pieces[at]
        at += 1
        if piece == "|":
            rows.append(Row(tuple(items)))
            items = []
        elif piece in "([":
            options, at = _parse_options(pieces, at, rules, lexicon)
            if at >= len(pieces) or pieces[at] != {"(": ")", "[": "]"}[piece]:
                raise GrammarInvalid(f"{piece!r} is not closed in {' '.join(pieces)!r}")
            at += 1
            items.append(Choice((*options, Row(()))) if piece == "[" else Choice(options))
        elif piece.startswith("<"):
            items.append(Choice((parse(rules[piece[1:-1]], rules, lexicon),)))
        else:
            items.append(Value(piece) if lexicon.knows(piece) else Literal(piece.lower()))
    return (*rows, Row(tuple(items))), at


def _walk(
    items: tuple[Literal | Value | Choice, ...], tokens: Tokens, at: int, lexicon: Lexicon
) -> Iterator[tuple[int, Captures]]:
    if not items:
        yield at, ()
        return
    head, rest = items[0], items[1:]
    if isinstance(head, Literal):
        if at < len(tokens) and tokens[at] == head.word:
            yield from _walk(rest, tokens, at + 1, lexicon)
    elif isinstance(head, Value):
        if (found := lexicon.read(head.atom, tokens, at)) is not None:
            value, after = found
            for end, captures in _walk(rest, tokens, after, lexicon):
                yield end, ((head.atom, value), *captures)
    else:
        for option in head.options:
            yield from _walk((*option.items, *rest), tokens, at, lexicon)
