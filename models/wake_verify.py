"""The second opinion on a wake word: openWakeWord's models over the audio around a detection of the first stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.catalog import catalog
from models.engines import RATE, EngineError, Pcm, WakeVerdict
from models.wake_open import CHUNK, load_features, load_word
from models.wake_words import WakeWord

THRESHOLDS: Final = {"alexa": 0.1}
"""Fixed before what docs/wake.md measures with them."""
_THRESHOLD: Final = 0.3
_JUDGED = RATE * 7 // 10
"""Scores of so much at the end count: the word ended there, and a score sees 2.1 s, all of it audio that was given."""
_SEEN = RATE * 28 // 10
"""No check is of less, so that nothing of the one before is among it."""


class OpenWakeVerifier:
    """Implements `WakeVerifier`. The features' state is never reset (that recomputes eight seconds): what is left in it
    of the last check has been pushed out by the time the scores count."""

    def __init__(self, words: Sequence[WakeWord]) -> None:
        self._words = {word.name: word for word in words}
        self._features: Any = None
        self._models: dict[str, Any] = {}

    @staticmethod
    def knows(word: WakeWord) -> bool:
        """It has a model for this word."""
        return bool(word.second_model) or f"open-{word.name}" in catalog()

    def load(self) -> None:
        self._models = {
            name: load_word(name, Path(word.second_model) if word.second_model else None)
            for name, word in self._words.items()
        }
        self._features = load_features()

    def verify(self, word: str, pcm: Pcm) -> WakeVerdict:
        if self._features is None or word not in self._models:
            raise EngineError(f"no second detector is loaded for {word!r}")
        model = self._models[word]
        # Right after the start there is less audio than a score sees: silence, not what was judged before, fills it up.
        size = max(len(pcm), _SEEN)
        audio = np.concatenate([np.zeros(size + -size % CHUNK - len(pcm), np.int16), pcm])
        best = 0.0
        for start in range(0, len(audio), CHUNK):
            for features in self._features.process_streaming(audio[start : start + CHUNK].tobytes()):
                for score in model.process_streaming(features):
                    if start >= len(audio) - _JUDGED:
                        best = max(best, float(score))
        return WakeVerdict(min(best, 1.0), best > self._threshold(word))

    def _threshold(self, word: str) -> float:
        wanted = self._words[word].second_threshold
        return THRESHOLDS.get(word, _THRESHOLD) if wanted is None else wanted
