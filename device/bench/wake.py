"""Owns the wake word's figures: the cascade beside each of its stages, over the same made-up audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from audio.frames import FRAME, RATE, Pcm, ms, silence
from audio.resample import resample
from audio.settings import WakeSettings
from device.bench.noise import active_level, mixed, pink
from device.bench.rooms import table
from device.bench.speech import WAKE, Voice, request_set, speak
from models.wake_words import WakeWord

STAGES = ("micro", "open", "cascade")
WORD = "hey_jarvis"
LEVELS: dict[str, float | None] = {"clean": None, "pink10": 10.0, "pink5": 5.0}
SPEEDS = (0.85, 1.0, 1.2)
PITCHES = (0.95, 0.98, 1.0, 1.02, 1.05)
_SAME = ms(1500)
"""A word is not heard twice within it (`audio.wakecheck`)."""
_HISS = 4.0


@dataclass(slots=True)
class Detectors:
    """Three ways of listening for one word: microWakeWord alone at its cutoff, openWakeWord alone, the cascade."""

    word: str = WORD
    _engines: dict[str, Any] = field(default_factory=dict)

    def load(self) -> None:
        from models.wake_micro import MicroWakeDetector
        from models.wake_open import OpenWakeDetector
        from models.wake_verify import OpenWakeVerifier

        one = [WakeWord(self.word)]
        self._engines = {
            "micro": MicroWakeDetector(one),
            "first": MicroWakeDetector(one, confirmed={self.word}),
            "open": OpenWakeDetector(one),
            "second": OpenWakeVerifier(one),
        }
        for engine in self._engines.values():
            engine.load()

    def heard(self, pcm: Pcm) -> dict[str, int]:
        """How often each has heard the word."""
        settings = WakeSettings()
        before, after = ms(settings.before_ms), ms(settings.after_ms)
        whole = np.concatenate([silence(before), pcm, silence(after)])
        counts = dict.fromkeys(STAGES, 0)
        free = 0
        for start in range(0, len(pcm) - FRAME + 1, FRAME):
            frame = pcm[start : start + FRAME]
            for name in ("micro", "open"):
                counts[name] += len(self._engines[name].process(frame))
            if self._engines["first"].process(frame) and start >= free:
                free, end = start + _SAME, start + FRAME
                verdict = self._engines["second"].verify(self.word, whole[end : end + before + after])
                counts["cascade"] += verdict.confirmed
        return counts


def clips(speeds: Sequence[float] = SPEEDS, pitches: Sequence[float] = PITCHES) -> list[Pcm]:
    """The wake word by both voices, at several speeds and pitches."""
    said = [speak(voice, f"{WAKE}.", speed) for voice in get_args(Voice) for speed in speeds]
    return [resample(pcm, round(RATE * pitch), RATE) for pcm in said for pitch in pitches]


def in_noise(speech: Pcm, snr_db: float | None, seed: int) -> Pcm:
    """1.5 s of the room before and 1 s after; pink noise so far below the speech, or the hiss of a quiet room."""
    rng = np.random.default_rng(seed)
    whole = np.concatenate([silence(RATE * 3 // 2), speech, silence(RATE)])
    if snr_db is None:
        return mixed(whole, rng.standard_normal(len(whole)), _HISS, 0.0)
    return mixed(whole, pink(len(whole), rng), active_level(speech), snr_db)


def other_speech(hours: float) -> Iterator[Pcm]:
    """Sentences without the word, in another order and at another pitch each time."""
    rng = np.random.default_rng(3)
    texts = [*table()["babble"]["say"], *(request.text for request in request_set())]
    texts += [text for entry in table()["pause"] for text in entry["say"]]
    voices = get_args(Voice)
    left = hours * 3600 * RATE
    while left > 0:
        pcm = speak(voices[int(rng.integers(len(voices)))], texts[int(rng.integers(len(texts)))])
        pitched = resample(pcm, round(RATE * rng.uniform(0.9, 1.1)), RATE)
        piece = np.concatenate([pitched, silence(int(rng.integers(RATE // 10, RATE)))])
        left -= len(piece)
        yield piece


def measure(hours: float, *, quick: bool = False) -> dict[str, Any]:
    """Recall over all levels and by level; false accepts and in how many hours of other speech."""
    detectors = Detectors()
    detectors.load()
    spoken = clips((1.0,), (1.0,)) if quick else clips()
    levels = {"clean": None} if quick else LEVELS
    found: dict[str, dict[str, float]] = {}
    for name, level in levels.items():
        hits = dict.fromkeys(STAGES, 0)
        for seed, clip in enumerate(spoken):
            for stage, count in detectors.heard(in_noise(clip, level, seed)).items():
                hits[stage] += count > 0
        found[name] = {stage: round(count / len(spoken), 4) for stage, count in hits.items()}
    wrong = dict.fromkeys(STAGES, 0)
    samples = 0
    for piece in other_speech(hours):
        samples += len(piece)
        for stage, count in detectors.heard(piece).items():
            wrong[stage] += count
    mean = {stage: round(sum(level[stage] for level in found.values()) / len(found), 4) for stage in STAGES}
    return {
        "recall": mean["cascade"],
        "false_accepts": wrong["cascade"],
        "hours": round(samples / RATE / 3600, 3),
        "trials": len(spoken) * len(levels),
        "recall_by_level": {name: level["cascade"] for name, level in found.items()},
        "reference": {
            stage: {"recall": mean[stage], "false_accepts": wrong[stage]} for stage in STAGES if stage != "cascade"
        },
    }
