"""What the wake word engines share: one report for each spoken word, and the check of a file before it is opened."""

from __future__ import annotations

from pathlib import Path

from models.engines import RATE, ModelUnavailable

REFRACTORY = RATE * 3 // 2
"""Samples after a detection in which the same word is not reported again: one spoken word scores for about a second."""

_TFLITE_MARK = b"TFL3"


class Trigger:
    """Turns a stream of scores into single detections."""

    def __init__(self, threshold: float, patience: int = 1) -> None:
        """`patience` is how many scores in a row must lie above the threshold."""
        self._threshold = threshold
        self._patience = patience
        self._run = 0
        self._quiet_until = 0

    def update(self, score: float, now: int) -> bool:
        """Whether the score that ends at sample `now` completes a detection."""
        self._run = self._run + 1 if score > self._threshold else 0
        # Equality, not >=: a score that stays high after the refractory period is still the same word.
        if self._run != self._patience or now < self._quiet_until:
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
