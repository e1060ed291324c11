"""Owns the measurement of a recognizer on sentences whose words are known: wrong words, computing time, delays.

The sentences are those of the benches, made by two voices, or recordings of people in a folder with a manifest.toml:

    [[recording]]
    file = "lamp.wav"
    text = "please switch on the lamp"
    language = "en"     # optional
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audio.frames import RATE, Pcm, ms
from audio.wav import read_wav
from device.bench.process import pss_mb
from device.bench.speech import assemble, request_set, speak
from device.bench.words import character_errors, word_errors
from models.host import HostedRecognizer

ENGINES = {"moonshine": "models.stt_moonshine:MoonshineRecognizer", "vosk": "models.stt_vosk:VoskRecognizer"}
"""Both in a child process here, so that they are weighed and timed alike."""
_PIECE = ms(100)
_PARTIAL_EVERY = 3
"""Pieces between two partials, as in the loop."""


class DataInvalid(Exception):
    """The folder of recordings cannot be used; `code` is stable."""

    code = "bench-data"


class Spoken(NamedTuple):
    """A sentence to recognize."""

    text: str
    pcm: Pcm


@dataclass(slots=True)
class Tally:
    """What one recognizer did with all sentences."""

    load_s: float
    words: list[tuple[int, int]] = field(default_factory=list)
    characters: list[tuple[int, int]] = field(default_factory=list)
    right: int = 0
    busy_s: float = 0.0
    spoken_s: float = 0.0
    partial_ms: list[float] = field(default_factory=list)
    final_ms: list[float] = field(default_factory=list)
    first_words_ms: list[float] = field(default_factory=list)
    """From the recording's beginning to the first partial with a word in it."""
    pss_mb: float = 0.0

    def values(self) -> dict[str, Any]:
        return {
            "wer_percent": _percent(self.words),
            "cer_percent": _percent(self.characters),
            "right": self.right,
            "of": len(self.words),
            "real_time_factor": round(self.busy_s / max(self.spoken_s, 1e-9), 4),
            "partial_ms": _spread(self.partial_ms),
            "final_ms": _spread(self.final_ms),
            "first_words_ms": _spread(self.first_words_ms),
            "load_s": round(self.load_s, 2),
            "pss_mb": round(self.pss_mb, 1),
        }


def sentences() -> list[Spoken]:
    """The requests of the benches in a quiet room."""
    return [Spoken(request.text, assemble([speak(request.voice, request.text)])) for request in request_set()]


def recordings(folder: Path, language: str) -> list[Spoken]:
    """The recordings of a folder in that language.

    Raises:
        DataInvalid, WavError: the manifest or a recording is missing or cannot be read.
    """
    manifest = folder / "manifest.toml"
    try:
        entries = tomllib.loads(manifest.read_text("utf-8"))["recording"]
        wanted = [(folder / entry["file"], entry["text"]) for entry in entries if _matches(entry, language)]
    except FileNotFoundError:
        raise DataInvalid(f"{manifest} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataInvalid(f"{manifest}: {type(error).__name__}: {error}") from error
    if not wanted:
        raise DataInvalid(f"{manifest} has no recording in the language {language}")
    return [Spoken(text, read_wav(path)) for path, text in wanted]


def measure(engine: str, model: str, spoken: Sequence[Spoken]) -> dict[str, Any]:
    """Recognize them all, one after the other.

    Raises:
        EngineError: the engine or its model is missing, or it failed.
    """
    recognizer = HostedRecognizer(ENGINES[engine], {"model": model} if engine == "vosk" else {}, deadline=60.0)
    try:
        began = time.perf_counter()
        recognizer.load()
        tally = Tally(time.perf_counter() - began)
        for sentence in spoken:
            _recognize(recognizer, sentence, tally)
        assert recognizer.pid is not None
        tally.pss_mb = pss_mb(recognizer.pid)
    finally:
        recognizer.close()
    return tally.values()


def _recognize(recognizer: HostedRecognizer, sentence: Spoken, tally: Tally) -> None:
    began = time.perf_counter()
    recognizer.start()
    heard_any = False
    for number, at in enumerate(range(0, len(sentence.pcm), _PIECE), 1):
        recognizer.feed(sentence.pcm[at : at + _PIECE])
        if number % _PARTIAL_EVERY:
            continue
        asked = time.perf_counter()
        text = recognizer.partial().text
        took = (time.perf_counter() - asked) * 1000
        tally.partial_ms.append(took)
        if text and not heard_any:
            heard_any = True
            tally.first_words_ms.append(number * _PIECE / RATE * 1000 + took)
    asked = time.perf_counter()
    text = recognizer.finish().text
    ended = time.perf_counter()
    tally.final_ms.append((ended - asked) * 1000)
    tally.busy_s += ended - began
    tally.spoken_s += len(sentence.pcm) / RATE
    wrong = word_errors(sentence.text, text)
    tally.words.append(wrong)
    tally.characters.append(character_errors(sentence.text, text))
    tally.right += wrong[0] == 0


def _matches(entry: dict[str, str], language: str) -> bool:
    return entry.get("language", language) == language


def _percent(counts: Sequence[tuple[int, int]]) -> float:
    return round(100 * sum(wrong for wrong, _ in counts) / max(1, sum(of for _, of in counts)), 2)


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {f"p{percent}": round(float(np.percentile(values, percent)), 1) for percent in (50, 95)}
