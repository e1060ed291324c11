"""Owns the hearing: a near and a far frame in; the cleaned frame and the facts about it out."""

from __future__ import annotations

from dataclasses import dataclass

from audio.events import LevelMeasured, SpeechEnded, SpeechStarted, WakeHeard
from audio.frames import Pcm, Samples, ms
from audio.gate import Gate, GateReading, level_db
from audio.settings import GateSettings
from models.engines import EchoCanceller, VoiceDetector, WakeDetector

HeardFact = WakeHeard | SpeechStarted | SpeechEnded | LevelMeasured
_METER_EVERY = ms(200)


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame, understood."""

    pcm: Pcm
    """The near end without the echo."""
    reading: GateReading
    facts: tuple[HeardFact, ...]


class Listener:
    """Runs the engines that are fast enough for the pump: echo canceller, voice detector, wake word."""

    def __init__(
        self,
        settings: GateSettings,
        voice: VoiceDetector,
        wake: WakeDetector | None,
        echo: EchoCanceller | None,
    ) -> None:
        self._gate = Gate(settings)
        self._voice = voice
        self._wake = wake
        self._echo = echo

    def hear(self, start: Samples, near: Pcm, far: Pcm, delay: int) -> Heard:
        """`near` and `far` are one frame each, beginning at `start`; `delay` as in `EchoCanceller.process`."""
        pcm = self._echo.process(near, far, delay) if self._echo else near
        end = Samples(start + len(near))
        reading = self._gate.step(start, pcm, self._voice.is_speech(pcm))
        facts: list[HeardFact] = [reading.event] if reading.event else []
        if self._wake:
            for score in self._wake.process(pcm):
                word_end = Samples(max(0, end - self._wake.lag))
                facts.append(WakeHeard(at=end, word=score.word, score=score.score, word_end=word_end, sure=score.sure))
        if end % _METER_EVERY < len(near):
            meter = LevelMeasured(at=end, near_db=reading.level_db, far_db=level_db(far), floor_db=reading.floor_db)
            facts.append(meter)
        return Heard(pcm, reading, tuple(facts))
