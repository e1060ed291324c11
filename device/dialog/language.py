"""A language is a folder: loads its words, grammar, wording and sentences, and merges the user's sentence files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parent
_PARTS = {"language", "intents", "expansion_rules", "lists", "wording"}


class LanguageInvalid(ValueError):
    """A language file cannot be used; the message names the file and what is wrong."""

    code = "language-invalid"


@dataclass(slots=True)
class Language:
    """Everything the dialog knows of one language, as read from YAML."""

    code: str
    words: dict[str, Any]
    grammar: dict[str, Any]
    wording: dict[str, Any]
    intents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Blocks of sentence templates by intent; an intent named like a function is a request for it."""
    examples: dict[str, str] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    lists: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    """The user's file that an intent comes from, or was added to."""


def load_language(code: str = "en", extra: Iterable[Path] = ()) -> Language:
    """The built-in language with the sentence files of the given folders (or files) merged into it, in that order."""
    folder = _HERE / code
    if not folder.is_dir():
        known = ", ".join(sorted(p.parent.name for p in _HERE.glob("*/words.yaml")))
        raise LanguageInvalid(f"no language {code!r}; there is: {known}")
    language = Language(code, *(_read(folder / f"{part}.yaml") for part in ("words", "grammar", "wording")))
    for path in sorted((folder / "sentences").glob("*.yaml")):
        _merge(language, path)
    for place in extra:
        for path in sorted(place.glob("*.yaml")) if place.is_dir() else [place]:
            language.sources |= dict.fromkeys(_merge(language, path), path)
    return language


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LanguageInvalid(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise LanguageInvalid(f"{path}: expected a mapping")
    return data


def _merge(language: Language, path: Path) -> tuple[str, ...]:
    """Returns the intents it brings."""
    data = _read(path)
    if data.get("language", language.code) != language.code:
        return ()
    if unknown := set(data) - _PARTS:
        raise LanguageInvalid(f"{path}: unknown key {min(map(str, unknown))!r}; known: {', '.join(sorted(_PARTS))}")
    intents = _mapping(path, data, "intents")
    for name, intent in intents.items():
        blocks = _blocks(path, name, intent)
        language.intents.setdefault(str(name), []).extend(blocks)
        if isinstance(intent.get("example"), str):
            language.examples[str(name)] = intent["example"]
    for rule, body in _mapping(path, data, "expansion_rules").items():
        if not isinstance(body, str):
            raise LanguageInvalid(f"{path}: rule {rule}: expected a text")
        language.rules[rule] = body
    for name, entry in _mapping(path, data, "lists").items():
        if not isinstance(entry, dict) or not isinstance(entry.get("values"), list):
            raise LanguageInvalid(f"{path}: list {name}: expected `values`")
        language.lists[name] = entry
    _reword(path, language.wording, _mapping(path, data, "wording"))
    return tuple(map(str, intents))


def _mapping(path: Path, data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key) or {}
    if not isinstance(value, dict):
        raise LanguageInvalid(f"{path}: {key}: expected a mapping")
    return value


def _blocks(path: Path, name: object, intent: object) -> list[dict[str, Any]]:
    blocks = intent.get("data") if isinstance(intent, dict) else None
    if isinstance(intent, dict) and "sentences" in intent:
        blocks = [{"sentences": intent["sentences"]}]  # the short form, without "data"
    for block in blocks if isinstance(blocks, list) and blocks else [None]:
        sentences = block.get("sentences") if isinstance(block, dict) else None
        if not isinstance(sentences, list) or not all(isinstance(text, str) and text.strip() for text in sentences):
            raise LanguageInvalid(f"{path}: intent {name}: expected a list of sentences")
    return blocks or []


def _reword(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        before = old.get(key, "")
        if isinstance(value, dict) and isinstance(before, dict):
            _reword(path, before, value)
        elif isinstance(value, type(before)) or (isinstance(value, str) and isinstance(before, list)):
            old[key] = value
        else:
            wanted = {"dict": "a mapping", "list": "a list", "str": "a text"}.get(type(before).__name__, "a number")
            raise LanguageInvalid(f"{path}: wording: {key}: expected {wanted}")
