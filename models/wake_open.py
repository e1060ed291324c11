"""Wake words with openWakeWord's models: dearer than microWakeWord, and the better judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.catalog import catalog, resolve
from models.engines import RATE, EngineError, EngineUnavailable, ModelUnavailable, Pcm, WakeScore
from models.wake_trigger import Triggers, check_tflite

_FRAME = RATE // 100
_CHUNK = RATE * 8 // 100
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

    def __init__(
        self,
        words: Sequence[str] = ("hey_jarvis",),
        threshold: float | None = None,
        patience: int = 1,
        model_paths: Mapping[str, str | Path] | None = None,
    ) -> None:
        """`model_paths` maps a word to its own .tflite; `patience` is scores (80 ms) in a row above the threshold."""
        self._words = tuple(words)
        self._threshold = _THRESHOLD if threshold is None else threshold
        self._patience = patience
        self._paths = {word: Path(path) for word, path in (model_paths or {}).items()}
        self._features: Any = None
        self._models: dict[str, Any] = {}
        self._triggers = Triggers({})
        self._pending = bytearray()
        self._now = 0

    def load(self) -> None:
        files = {word: self._file(word) for word in self._words}
        for name in _FEATURE_MODELS:
            check_tflite(resolve(_PREFIX + name))
        try:
            from pyopen_wakeword import OpenWakeWord, OpenWakeWordFeatures
        except ImportError as error:
            raise EngineUnavailable("pyopen_wakeword is not installed: pip install pyopen-wakeword") from error
        for word, file in files.items():
            self._models[word] = OpenWakeWord.from_model(file)
        self._triggers = Triggers(dict.fromkeys(files, self._threshold), self._patience)
        self._features = OpenWakeWordFeatures.from_builtin()
        # The first chunk computes eight seconds of history: here, not in the first frame of the loop.
        for _ in self._score(bytes(2 * _CHUNK)):
            pass

    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        """Feed 160 samples; returns the words that were detected, seven times in eight nothing without any work."""
        if len(frame) != _FRAME:
            raise ValueError(f"a frame is {_FRAME} samples, not {len(frame)}")
        if self._features is None:
            raise EngineError("the wake word detector is not loaded")
        self._now += _FRAME
        self._pending += frame.tobytes()
        if len(self._pending) < 2 * _CHUNK:
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

    def _file(self, word: str) -> Path:
        if word in self._paths:
            return check_tflite(self._paths[word])
        if word in _FEATURE_MODELS or _PREFIX + word not in catalog():
            raise ModelUnavailable(f"no wake word {word!r}; available: {', '.join(_available(self._paths))}")
        return check_tflite(resolve(_PREFIX + word))


def _available(paths: Mapping[str, Path]) -> list[str]:
    builtin = {name.removeprefix(_PREFIX) for name in catalog() if name.startswith(_PREFIX)}
    return sorted(builtin - set(_FEATURE_MODELS) | set(paths))
