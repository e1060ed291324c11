"""What the wake word engines share: one report for each spoken word, and the check of a file before it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.engines import RATE, ModelUnavailable

REFRACTORY = RATE * 3 // 2
"""Samples after a detection without another: one spoken word scores for about a second, and a little for its rhymes."""

_TFLITE_MARK = b"TFL3"


class Triggers:
    """Turns the scores of several words into single detections."""

    def __init__(self, thresholds: Mapping[str, float], patience: Mapping[str, int]) -> None:
        """`patience` is how many scores in a row must lie above a word's threshold; 1 where it says nothing."""
        self._thresholds = thresholds
        self._patience = patience
        self._runs = dict.fromkeys(thresholds, 0)
        self._quiet_until = 0

    def update(self, word: str, score: float, now: int) -> bool:
        """Whether the score of the audio up to sample `now` completes a detection of the word."""
        self._runs[word] = self._runs[word] + 1 if score > self._thresholds[word] else 0
        # Equality, not >=: a score that stays high after the refractory period is still the same word.
        if self._runs[word] != self._patience.get(word, 1) or now < self._quiet_until:
            return False
        self._quiet_until = now + REFRACTORY
        return True


def check_tflite(path: Path) -> Path:
    """The path if it holds a TFLite model; the engines' C library ends the process over a file that does not."""
    if not path.is_file():
        raise ModelUnavailable(f"wake word model {path} is missing")
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] != _TFLITE_MARK:
        raise ModelUnavailable(f"{path} is not a TFLite model (an .onnx file must be converted first)")
    return path
