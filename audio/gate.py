"""Pure policy: is somebody speaking? Owns the gate's hysteresis and the tracked noise floor.

The voice detector alone stays open in steady noise, so a frame counts as voice only when it also stands above the
floor. The floor follows a quieter room at once and a louder one slowly: the gaps between words hold it down while
somebody speaks, an engine or a fan lifts it within seconds (minimum tracking in its simplest form; Martin, "Noise power
spectral density estimation based on optimal smoothing and minimum statistics", IEEE TSAP 2001).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from audio.events import SpeechEnded, SpeechStarted
from audio.frames import FRAME, RATE, Pcm, Samples, ms
from audio.settings import GateSettings

QUIETEST_DB = -80.0
"""Digital silence and everything below counts as this; a floor lower than a real room's means nothing."""
_FIRST_FLOOR_DB = -60.0
"""A quiet room, until the real one is known: somebody may be speaking when the microphone opens."""
_SMOOTHING_FRAMES = 5


def level_db(pcm: Pcm) -> float:
    """RMS in dB re full scale."""
    rms = math.sqrt(float(np.mean(np.square(pcm, dtype=np.float64)))) / 32768.0
    return max(QUIETEST_DB, 20.0 * math.log10(rms)) if rms > 0 else QUIETEST_DB


@dataclass(frozen=True, slots=True)
class GateReading:
    """What the gate says of one frame."""

    voiced: bool
    """This very frame is voice; the gate's hangover is not in it."""
    level_db: float
    smooth_db: float
    """The level over the last 50 ms."""
    floor_db: float
    event: SpeechStarted | SpeechEnded | None


class Gate:
    """Feed it every frame; it opens on enough voice in a short window and closes after a hangover."""

    def __init__(self, settings: GateSettings) -> None:
        self._margin = settings.margin_db
        self._rise = settings.floor_rise_db_per_s * FRAME / RATE
        self._attack = max(1, ms(settings.attack_ms) // FRAME)
        self._hangover = ms(settings.hangover_ms)
        self._window: deque[bool] = deque(maxlen=max(self._attack, ms(settings.window_ms) // FRAME))
        self._levels: deque[float] = deque(maxlen=_SMOOTHING_FRAMES)
        self._floor = _FIRST_FLOOR_DB
        self._last_voice = Samples(0)
        self.is_open = False

    def step(self, start: Samples, pcm: Pcm, speech: bool) -> GateReading:
        """`speech` is the voice detector's word on this frame, which begins at `start`."""
        level = level_db(pcm)
        self._levels.append(level)
        smooth = sum(self._levels) / len(self._levels)
        self._floor = min(self._floor + self._rise, smooth)
        voiced = speech and level >= self._floor + self._margin
        self._window.append(voiced)
        end = Samples(start + len(pcm))
        if voiced:
            self._last_voice = end
        return GateReading(voiced, level, smooth, self._floor, self._turn(end))

    def _turn(self, now: Samples) -> SpeechStarted | SpeechEnded | None:
        if not self.is_open and sum(self._window) >= self._attack:
            self.is_open = True
            first = list(self._window).index(True)
            return SpeechStarted(at=now, onset=Samples(now - (len(self._window) - first) * FRAME))
        if self.is_open and now - self._last_voice >= self._hangover:
            self.is_open = False
            return SpeechEnded(at=now, last=self._last_voice)
        return None
