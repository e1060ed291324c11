"""Wake words with openWakeWord's models: dearer than microWakeWord, and the better judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.catalog import catalog, resolve
from models.engines import RATE, EngineError, EngineUnavailable, ModelUnavailable, Pcm, WakeScore
from models.wake_trigger import Triggers, check_tflite
from models.wake_words import WakeWord

_FRAME = RATE // 100
CHUNK = RATE * 8 // 100
"""The engine scores every 80 ms; feeding it less only moves its 10 s buffer more often."""
_THRESHOLD = 0.5
"""Alone: 98.5 % of clean words and two false alarms in three hours of other speech; as a second stage 0.1 is enough."""
_PREFIX = "open-"
_FEATURE_MODELS = ("melspectrogram", "embedding_model")


class OpenWakeDetector:
    """Several openWakeWord models over one set of features.

    The features are never reset: that makes the next call recompute eight seconds of silence, over a second of work.
    """

    lag = RATE * 24 // 100
    """It scores every 80 ms and fired 0 to 400 ms after synthetic words, half of them by 160 ms; people's sooner."""

    def __init__(self, words: Sequence[WakeWord] = (WakeWord("hey_jarvis"),)) -> None:
        """A word's `model` is a .tflite; its `patience` counts scores, one every 80 ms."""
        self._words = tuple(words)
        self._features: Any = None
        self._models: dict[str, Any] = {}
        self._triggers = Triggers({}, {})
        self._pending = bytearray()
        self._now = 0

    def load(self) -> None:
        own = {word.name: Path(word.model) for word in self._words if word.model}
        self._models = {word.name: load_word(word.name, own.get(word.name)) for word in self._words}
        thresholds = {word.name: _THRESHOLD if word.threshold is None else word.threshold for word in self._words}
        self._triggers = Triggers(thresholds, {word.name: word.patience for word in self._words})
        self._features = load_features()

    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        """Feed 160 samples; returns the words that were detected, seven times in eight nothing without any work."""
        if len(frame) != _FRAME:
            raise ValueError(f"a frame is {_FRAME} samples, not {len(frame)}")
        if self._features is None:
            raise EngineError("the wake word detector is not loaded")
        self._now += _FRAME
        self._pending += frame.tobytes()
        if len(self._pending) < 2 * CHUNK:
            return ()
        chunk = bytes(self._pending)
        self._pending.clear()
        return [
            WakeScore(word, min(score, 1.0))
            for word, score in self._score(chunk)
            if self._triggers.update(word, score, self._now)
        ]

    def _score(self, chunk: bytes) -> list[tuple[str, float]]:
        return [
            (word, float(score))
            for features in self._features.process_streaming(chunk)
            for word, model in self._models.items()
            for score in model.process_streaming(features)
        ]


def load_features() -> Any:
    """The features that all words share, primed: their first chunk computes eight seconds of history."""
    for name in _FEATURE_MODELS:
        check_tflite(resolve(_PREFIX + name))
    features = _package().OpenWakeWordFeatures.from_builtin()
    for _ in features.process_streaming(bytes(2 * CHUNK)):
        pass
    return features


def load_word(name: str, own: Path | None) -> Any:
    """The model of one word; `own` is a .tflite of the user's."""
    if own is None:
        if name in _FEATURE_MODELS or _PREFIX + name not in catalog():
            raise ModelUnavailable(f"no wake word {name!r}; available: {', '.join(_available())}")
        own = resolve(_PREFIX + name)
    return _package().OpenWakeWord.from_model(check_tflite(own))


def _package() -> Any:
    try:
        import pyopen_wakeword
    except ImportError as error:
        raise EngineUnavailable("pyopen_wakeword is not installed: pip install pyopen-wakeword") from error
    return pyopen_wakeword


def _available() -> list[str]:
    builtin = {name.removeprefix(_PREFIX) for name in catalog() if name.startswith(_PREFIX)}
    return sorted(builtin - set(_FEATURE_MODELS))
