"""Words in, intent out: owns the matching of a text against the sentence templates."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hassil.errors import HassilError
from hassil.intents import Intents
from hassil.parse_expression import ParseExpressionError
from hassil.parser import ParseError
from hassil.recognize import RecognizeResult, recognize_all

from device.dialog.language import Language, LanguageInvalid
from device.dialog.lexicon import Lexicon
from device.dialog.slots import KINDS, SlotReader, Span, Tagged
from device.dialog.times import TimeReading
from device.dialog.words import Tokens, WordRules

_log = logging.getLogger("wakeline.dialog")

OWN_INTENTS = frozenset(
    (
        "yes",
        "no",
        "cancel",
        "stop",
        "repeat",
        "help",
        "thanks",
        "greeting",
        "giveValues",
        "giveName",
        "callPerson",
        "tryAgain",
    )
)
"""Intents of the dialog itself; every other intent is named like a function."""

_WILDCARDS = ("name", "text", "who")
_FREE_ANSWERS = ("name", "text", "choice")
_MOST_MARKS = 12
_RULE = re.compile(r"<([^<>]+)>")

Said = tuple[tuple[str, Span | str], ...]
"""Values by the name they have in the template, in the order they were said."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What a text means."""

    intent: str
    said: Said = ()
    carry: bool = False
    """The request refers to what was talked about before ("book it")."""
    loose: bool = False
    """A value was taken as whatever words were left over, so more words may belong to it."""


@dataclass(frozen=True, slots=True)
class _Context:
    """What a text is heard in."""

    now: datetime
    asked: str = ""
    ringing: bool = False

    def for_hassil(self) -> dict[str, Any]:
        return {"asked": self.asked, "ringing": self.ringing}


class Sentences:
    """The sentence templates of one language, for the functions and destinations that exist."""

    def __init__(self, language: Language, functions: Iterable[str], destinations: Sequence[str]) -> None:
        self._words = WordRules(language.words)
        self._reader = SlotReader(language.grammar, Lexicon(language.words))
        self._no_name = frozenset(language.words["no_name"])
        names = OWN_INTENTS | set(functions)
        lists: dict[str, Any] = {kind: {"values": _marks(kind)} for kind in KINDS}
        lists |= {name: {"wildcard": True} for name in _WILDCARDS}
        lists |= {name: {"values": entry["values"]} for name, entry in language.lists.items()}
        spoken = [{"in": " ".join(self._words.tokens(name)), "out": name} for name in destinations]
        # hassil wants a value in every list; this one is never written by `tokens`.
        lists["destination"] = {"values": spoken or [{"in": "no-destination", "out": ""}]}
        for name in sorted(set(language.sources) - names):
            _log.warning("%s: %s is no function that can be asked for", language.sources[name], name)
        _check_rules(language)
        try:
            self._intents = Intents.from_dict(
                {
                    "language": language.code,
                    "intents": {
                        name: {"data": [self._spelled(block) for block in blocks]}
                        for name, blocks in language.intents.items()
                        if name in names
                    },
                    "expansion_rules": {name: self._words.spelling(body) for name, body in language.rules.items()},
                    "lists": lists,
                }
            )
            # Every template is compiled now, so that a mistake shows here and no request pays for it.
            _check(self._intents, language.sources)
            self._match(Tagged(("a",)), _Context(datetime.min))
        except (HassilError, ParseError, ParseExpressionError, KeyError, TypeError, RecursionError) as error:
            raise LanguageInvalid(f"sentences: {type(error).__name__}: {error}") from error

    def understand(self, text: str, now: datetime, asked: str = "", *, ringing: bool = False) -> Understood | None:
        """The meaning of a text.

        `asked` is the kind of slot that was asked for, so that short answers fit; `ringing` makes "okay" a stop.
        """
        context = _Context(now, asked, ringing)
        tokens = self._words.tokens(text)
        for row in dict.fromkeys((tokens, self._words.plain(text), self._words.corrected(tokens))):
            if row and (found := self._whole(row, context)) is not None:
                return found
        parts = self._words.repaired(tokens)
        return self._repaired(parts, context) if parts else None

    def _repaired(self, parts: tuple[Tokens, Tokens], context: _Context) -> Understood | None:
        """ "Book Friday at eight - actually, make it seven"."""
        before, after = (self._whole(part, context) for part in parts)
        if after is None:
            return None
        if before is None or after.intent not in ("giveValues", "giveName"):
            return after if after.intent != "giveValues" or not before else None
        return replace(before, said=before.said + _as_corrected(before.said, after.said), loose=after.loose)

    def _whole(self, tokens: Tokens, context: _Context) -> Understood | None:
        rows = [
            self._reader.tag(tokens, context.now, context.asked),
            self._reader.tag(tokens, context.now),
            Tagged(tokens),
        ]
        for row in dict.fromkeys(rows):
            found = self._match(row, context)
            # Free words of an untagged sentence may have swallowed a value; only an answer may do that ("May").
            if found and (not found.loose or row.spans or not rows[1].spans or context.asked in _FREE_ANSWERS):
                return found
        return None

    def _match(self, row: Tagged, context: _Context) -> Understood | None:
        results = recognize_all(" ".join(row.tokens), self._intents, intent_context=context.for_hassil())
        usable = [(_score(result), result) for result in results if self._usable(result, row)]
        if not usable:
            return None
        result = min(usable, key=lambda scored: scored[0])[1]
        return Understood(
            intent=result.intent.name,
            said=tuple(_said(result, row)),
            carry=bool((result.intent_metadata or {}).get("carry")),
            loose=any(entity.is_wildcard for entity in result.entities_list),
        )

    def _usable(self, result: RecognizeResult, row: Tagged) -> bool:
        """A found value must not disappear inside free words, and an answer without any value is none."""
        if result.intent.name in ("giveValues", "giveName") and not result.entities_list:
            return False
        marks = {f"{span.kind}{index}" for index, span in enumerate(row.spans)}
        for entity in result.entities_list:
            if entity.is_wildcard and (not entity.text.strip() or marks & set(entity.text.split())):
                return False
            if entity.is_wildcard and entity.text.split()[0] in self._no_name:
                return bool(entity.name == "who")
            if not entity.is_wildcard and isinstance(entity.value, int) and entity.value >= len(row.spans):
                return False
        return True

    def _spelled(self, block: dict[str, Any]) -> dict[str, Any]:
        return {**block, "sentences": [self._words.spelling(text) for text in block["sentences"]]}


def _check_rules(language: Language) -> None:
    """hassil misses a rule only when somebody says a sentence that needs it."""
    texts = [(f"rule {name}", body) for name, body in language.rules.items()]
    for name, blocks in language.intents.items():
        where = f"{language.sources.get(name, 'sentences')}: {name}"
        texts += [(where, text) for block in blocks for text in block["sentences"]]
    for where, text in texts:
        for rule in _RULE.findall(text):
            if rule not in language.rules:
                raise LanguageInvalid(f"{where}: there is no rule <{rule}>")


def _check(intents: Intents, sources: Mapping[str, Path]) -> None:
    """Compiles every template, so that what is wrong is said with the place where it stands."""
    for intent in intents.intents.values():
        where = f"{sources.get(intent.name, 'sentences')}: {intent.name}"
        try:
            for sentence in (sentence for block in intent.data for sentence in block.sentences):
                for name in sentence.list_names(intents.expansion_rules):
                    if name not in intents.slot_lists:
                        raise LanguageInvalid(f"{where}: there is no list {{{name}}}")
        except (HassilError, ParseError, ParseExpressionError) as error:
            raise LanguageInvalid(f"{where}: {error}") from error


def _marks(kind: str) -> list[dict[str, Any]]:
    return [{"in": f"{kind}{index}", "out": index} for index in range(_MOST_MARKS)]


def _score(result: RecognizeResult) -> tuple[bool, int, int, int, str]:
    """What the moment calls for, then fewer free words, then more literal ones; the name keeps ties the same."""
    free = [entity for entity in result.entities_list if entity.is_wildcard]
    return (
        not (result.intent_metadata or {}).get("prefer"),
        len(free),
        sum(len(entity.text) for entity in free),
        -result.text_chunks_matched,
        result.intent.name,
    )


def _said(result: RecognizeResult, row: Tagged) -> Iterator[tuple[str, Span | str]]:
    """ "_" is the name of a value that a template takes and throws away ("not Thursday, Friday")."""
    for entity in result.entities_list:
        if entity.name == "_":
            continue
        if isinstance(entity.value, int) and not entity.is_wildcard:
            yield entity.name, row.spans[entity.value]
        else:
            yield entity.name, str(entity.value).strip()


def _as_corrected(before: Said, after: Said) -> Said:
    """A bare "seven" corrects the time or the number that was said last, in the same half of the day."""
    times = [(name, span) for name, span in before if isinstance(span, Span) and span.kind in ("time", "number")]
    corrected: list[tuple[str, Span | str]] = []
    for name, value in after:
        if isinstance(value, Span) and value.kind == "number" and times:
            target, old = times[-1]
            if isinstance(old.reading, TimeReading):
                value = Span("time", TimeReading(int(value.reading), 0, old.reading.half), value.end)
            name = target
        corrected.append((name, value))
    return tuple(corrected)
