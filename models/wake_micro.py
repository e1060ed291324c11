"""Wake words with microWakeWord: the cheap detector that is always on."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from models.catalog import catalog, resolve
from models.engines import RATE, EngineError, EngineUnavailable, ModelUnavailable, Pcm, WakeScore
from models.wake_trigger import Triggers, check_tflite
from models.wake_words import WakeWord

_FRAME = RATE // 100
_PREFIX = "micro-"

FIRST_STAGE_THRESHOLD = 0.5
"""For use before a second, confirming detector: of people saying "alexa" it finds 100 % clean and 99 % at 5 dB, where
the model's own cutoff of 0.9 finds 98 and 94 %, at five times the false alarms."""


class MicroWakeDetector:
    """Several microWakeWord models over one set of features.

    The default threshold is each model's own cutoff (0.85 to 0.97, a mean over five windows of 30 ms), because alone it
    brings about one false alarm in two hours of other speech and 0.5 brings three an hour.
    """

    lag = RATE // 5
    """It fires up to 200 ms after the word; recognizing from 200 ms before the detection lost no word of a request."""

    def __init__(
        self, words: Sequence[WakeWord] = (WakeWord("hey_jarvis"),), *, confirmed: Container[str] = ()
    ) -> None:
        """A word's `model` is the .json beside its own .tflite, as microWakeWord's trainer writes them. Words that a
        second detector will confirm (`confirmed`) are reported from a lower threshold on, and then as not `sure`."""
        self._words = tuple(words)
        self._confirmed = confirmed
        self._features: Any = None
        self._models: dict[str, Any] = {}
        self._triggers = Triggers({}, {})
        self._early = Triggers({}, {})
        self._now = 0

    def load(self) -> None:
        configs = {word.name: _config(word) for word in self._words}
        try:
            from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures
        except ImportError as error:
            raise EngineUnavailable("pymicro_wakeword is not installed: pip install pymicro-wakeword") from error
        for word, config in configs.items():
            try:
                self._models[word] = MicroWakeWord.from_config(config)
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise ModelUnavailable(f"{config} does not describe a microWakeWord model: {error}") from error
        self._triggers, self._early = self._set_triggers()
        self._features = MicroWakeWordFeatures()

    def __del__(self) -> None:
        # The package's destructor of the features wipes whatever exception is on its way (another engine's model is
        # missing, say), and the interpreter crashes for want of it. Within a finalizer the exception is put aside.
        self._features = None

    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        """Feed 160 samples; returns the words that were detected in them."""
        if len(frame) != _FRAME:
            raise ValueError(f"a frame is {_FRAME} samples, not {len(frame)}")
        if self._features is None:
            raise EngineError("the wake word detector is not loaded")
        self._now += _FRAME
        found: list[WakeScore] = []
        for features in self._features.process_streaming(frame.tobytes()):
            for word, model in self._models.items():
                score = float(model.process_streaming_prob(features))
                early = word in self._confirmed and self._early.update(word, score, self._now)
                if self._triggers.update(word, score, self._now):
                    found.append(WakeScore(word, min(score, 1.0)))
                elif early:
                    found.append(WakeScore(word, min(score, 1.0), sure=False))
        return found

    def _set_triggers(self) -> tuple[Triggers, Triggers]:
        """For what is sure, and for what a second detector shall look at. A threshold of the user's own is for the one
        that decides first."""
        sure: dict[str, float] = {}
        early: dict[str, float] = {}
        for word in self._words:
            cutoff = float(self._models[word.name].probability_cutoff)
            alone = cutoff if word.threshold is None else word.threshold
            early[word.name] = FIRST_STAGE_THRESHOLD if word.threshold is None else word.threshold
            sure[word.name] = max(cutoff, alone) if word.name in self._confirmed else alone
        patience = {word.name: word.patience for word in self._words}
        return Triggers(sure, patience), Triggers(early, patience)


def _config(word: WakeWord) -> Path:
    if not word.model:
        if _PREFIX + word.name not in catalog():
            raise ModelUnavailable(f"no wake word {word.name!r}; available: {', '.join(_available())}")
        return resolve(_PREFIX + word.name).with_suffix(".json")
    config = Path(word.model)
    try:
        model = json.loads(config.read_text("utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"{config} is not a microWakeWord description: {error}") from error
    check_tflite(config.parent / model)
    return config


def _available() -> list[str]:
    return sorted(name.removeprefix(_PREFIX) for name in catalog() if name.startswith(_PREFIX))
