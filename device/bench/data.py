"""Owns foreign recordings: a folder with a manifest, what is expected of each, and what came of them.

`manifest.toml` has a table `[[recording]]` for each file, `manifest.csv` a line with the same names as columns
(`arguments` is JSON there):

    file        beside the manifest, any WAV
    kind        "request": a wake word and a request; "pressed": a request alone, as if the button were held (default);
                "wake": the wake word alone; "speech": other speech, of which nothing may come
    text        what is said, without the wake word: counts towards the word error rate
    expected    the function that must run, with `arguments`; or `reply`, which the answer must begin with
    language    others than "en" are passed over
"""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from audio.frames import Pcm
from audio.wav import read_wav
from device.bench.options import ManifestInvalid
from device.bench.requests import Bench, Result, Spoken, rounded, summary
from device.bench.speech import Request
from device.bench.words import word_errors

Kind = Literal["request", "pressed", "wake", "speech"]
TOML, CSV = "manifest.toml", "manifest.csv"


class Entry(msgspec.Struct, frozen=True):
    """One recording; fields of which the bench knows nothing are passed over."""

    file: str
    kind: Kind = "pressed"
    text: str = ""
    expected: str = ""
    arguments: Mapping[str, Any] = msgspec.field(default_factory=dict)
    reply: str = ""
    language: str = "en"


def read_manifest(folder: Path) -> list[Entry]:
    """The recordings in English, in order.

    Raises:
        ManifestInvalid: no manifest, not readable, or a recording that is not there.
    """
    try:
        rows = _rows(folder)
        entries = [entry for entry in msgspec.convert(rows, list[Entry], strict=False) if entry.language == "en"]
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise ManifestInvalid(f"{folder}: {error}") from None
    for entry in entries:
        if not (folder / entry.file).is_file():
            raise ManifestInvalid(f"{folder / entry.file} does not exist")
    if not entries:
        raise ManifestInvalid(f"{folder}: the manifest names no recording in English")
    return entries


def _rows(folder: Path) -> Sequence[Any]:
    if (folder / TOML).is_file():
        found = tomllib.loads((folder / TOML).read_text(encoding="utf-8")).get("recording", [])
        return found if isinstance(found, list) else []
    if not (folder / CSV).is_file():
        raise ManifestInvalid(f"{folder} has neither {TOML} nor {CSV}")
    rows: list[dict[str, Any]] = []
    with (folder / CSV).open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            given: dict[str, Any] = {name: value for name, value in row.items() if name and value}
            if "arguments" in given:
                try:
                    given["arguments"] = json.loads(given["arguments"])
                except ValueError as error:
                    raise ManifestInvalid(f"{folder / CSV}, line {number}: arguments: {error}") from None
            rows.append(given)
    return rows


async def measure(on: Bench, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Each through the whole loop. `say` hears of each file."""
    found: list[tuple[Entry, Result]] = []
    for entry in read_manifest(folder):
        say(entry.file)
        found.append((entry, await on.play(spoken(entry, read_wav(folder / entry.file)))))
    return judged(found)


def spoken(entry: Entry, pcm: Pcm) -> Spoken:
    name = Path(entry.file).with_suffix("").as_posix()
    request = Request(name, "", entry.text, entry.expected or "-", entry.arguments, entry.reply)  # type: ignore[arg-type]
    return Spoken(request, "data", pcm, None, pressed=entry.kind == "pressed")


def judged(found: Sequence[tuple[Entry, Result]]) -> dict[str, Any]:
    """What they say together."""
    asked = [one for entry, one in found if entry.expected or entry.reply]
    said = [
        word_errors(entry.text, one.heard.split(" | ")[0])
        for entry, one in found
        if entry.text and entry.kind in ("request", "pressed")
    ]
    called = [one for entry, one in found if entry.kind in ("wake", "request")]
    other = [one for entry, one in found if entry.kind == "speech"]
    words = sum(of for _, of in said)
    return {
        "right": sum(one.right for one in asked),
        "of": len(asked),
        "gap_p50_ms": summary(asked)["p50"] if asked else None,
        "wer_percent": round(100 * sum(wrong for wrong, _ in said) / words, 2) if words else None,
        "words": words,
        "wake": {
            "recall": round(sum(map(_called, called)) / len(called), 4) if called else None,
            "of": len(called),
            "false_accepts": sum(map(_called, other)),
            "hours": round(sum(one.audio_s for one in other) / 3600, 4),
        },
        "audio_s": round(sum(one.audio_s for _, one in found), 1),
        "took_p50_ms": rounded([one.took_s * 1000 for _, one in found], 0.5),
    }


def _called(one: Result) -> bool:
    """A wake word was heard and not taken back."""
    return one.reason not in ("", "cut")
