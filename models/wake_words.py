"""Owns what is set for one wake word: its models, how sure each detector must be, how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WakeWord:
    """One word to listen for."""

    name: str
    threshold: float | None = None
    """0..1 for the first detector; None is the engine's own choice."""
    patience: int = 1
    """So many scores in a row must be above it."""
    model: str = ""
    """Own model of the first detector: the .json beside a microWakeWord .tflite, or openWakeWord's .tflite."""
    second_threshold: float | None = None
    """0..1 for the second detector, likewise."""
    second_model: str = ""
    """Own openWakeWord .tflite of the second detector."""
