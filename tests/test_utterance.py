"""An utterance's work ahead: what is decoded in the closing silence, and how often a slow recognizer is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audio.buffers import PreRoll
from audio.commands import Command, DecodePartial, FeedRecognition, FinishRecognition
from audio.events import TurnOrigin
from audio.frames import FRAME, RATE, Samples, TurnId, ms
from audio.gate import GateReading
from audio.settings import LoopSettings
from audio.utterance import Talker, Utterance
from models.moonshine_decoder import Decoded
from models.stt_moonshine import MoonshineRecognizer

T = TurnId(100001)


class Room:
    """An utterance and its microphone; `speak` and `pause` move the clock."""

    def __init__(self, origin: TurnOrigin = "wake", last: Talker | None = None) -> None:
        self.audio = PreRoll(20 * RATE)
        self.utterance = Utterance(T, Samples(0), Samples(0), LoopSettings(), (), origin, last)
        self.now = Samples(0)
        self.asked: list[int] = []
        self.commands: list[Command] = []
        self.end: str | None = None
        self.takes_ms = 0
        """How long the recognizer decodes."""
        self._due: int | None = None

    def speak(self, milliseconds: int) -> None:
        self._hear(milliseconds, voiced=True)

    def pause(self, milliseconds: int) -> None:
        self._hear(milliseconds, voiced=False)

    def babble(self, milliseconds: int) -> None:
        self._hear(milliseconds, voiced=True, level=-40.0)

    def _hear(self, milliseconds: int, *, voiced: bool, level: float | None = None) -> None:
        level = level if level is not None else -20.0 if voiced else -60.0
        for _ in range(milliseconds // 10):
            self.audio.write(np.full(FRAME, 1000 if voiced else 1, np.int16))
            self.now = Samples(self.now + FRAME)
            if self._due is not None and self.now >= self._due:
                self._due = None
                self.utterance.decoded(self.now)
            reading = GateReading(voiced, level, level, -60.0, None)
            commands, end = self.utterance.step(self.now, reading, self.audio)
            self.commands += commands
            self.end = self.end or end
            if any(isinstance(command, DecodePartial) for command in commands):
                self.asked.append(self.now * 1000 // RATE)
                self._due = self.now + ms(self.takes_ms)
            if end:
                return


def test_everything_is_decoded_ahead_while_the_silence_is_waited_for() -> None:
    room = Room()
    room.speak(1000)
    room.pause(2000)
    assert room.end == "silence"
    assert room.now == ms(1700)
    assert [at for at in room.asked if at > 1000] == [1300], "once, and early enough"
    assert [type(command) for command in room.utterance.finish(room.now, room.audio)] == [FinishRecognition]
    fed = sum(len(command.pcm) for command in room.commands if isinstance(command, FeedRecognition))
    assert fed == 2 * ms(1300), "the final has not one sample more to decode"


def test_who_speaks_on_after_a_pause_is_decoded_again() -> None:
    room = Room()
    room.speak(500)
    room.pause(600)
    assert room.end is None
    room.speak(500)
    room.pause(600)
    assert 800 in room.asked
    assert 1900 in room.asked


@pytest.mark.parametrize(("takes_ms", "most"), [(40, 14), (400, 6), (10_000, 1)])
def test_a_slow_recognizer_is_asked_less_often(takes_ms: int, most: int) -> None:
    room = Room()
    room.takes_ms = takes_ms
    room.speak(4000)
    assert most - 2 <= len(room.asked) <= most, "half of its time is kept free for the final"


LAST = Talker(TurnId(T - 1), -20.0)


def test_a_follow_up_that_nobody_answers_costs_the_recognizer_nothing() -> None:
    room = Room("follow_up", LAST)
    room.babble(6000)
    assert (room.end, room.now) == ("no_speech", ms(5000))
    assert not room.utterance.anything
    assert not room.commands


def test_of_the_room_before_the_answer_only_the_last_second_is_recognized() -> None:
    room = Room("follow_up", LAST)
    room.babble(3000)
    room.speak(500)
    room.pause(1000)
    assert room.end == "silence"
    room.utterance.finish(room.now, room.audio)
    fed = sum(len(command.pcm) for command in room.commands if isinstance(command, FeedRecognition))
    assert fed == 2 * ms(1000 - 10 + 500 + 300)
    assert room.utterance.talker == Talker(T, -20.0)


@pytest.mark.parametrize(
    ("origin", "last"),
    [("follow_up", None), ("follow_up", Talker(TurnId(T - 2), -20.0)), ("alert", LAST), ("wake", LAST)],
)
def test_who_is_not_expected_may_speak_as_softly_as_ever(origin: TurnOrigin, last: Talker | None) -> None:
    room = Room(origin, last)
    room.babble(1000)
    assert room.utterance.anything


class Counting:
    """The decoder's place: says how long the audio was, and counts."""

    def __init__(self) -> None:
        self.heard = 0

    def hear(self, audio: Any) -> Any:
        self.heard += 1
        return audio

    def decode(self, audio: Any) -> Decoded:
        return Decoded(f"{len(audio)} samples", -0.1, 3)

    def compare(self, *_: Any) -> dict[str, Decoded]:
        return {}


def test_a_final_without_new_audio_is_the_last_partial() -> None:
    recognizer, decoder = MoonshineRecognizer(), Counting()
    recognizer._decoder = decoder  # type: ignore[assignment]
    speech = (np.random.default_rng(1).standard_normal(RATE) * 3000).astype(np.int16)
    recognizer.start()
    recognizer.feed(speech)
    first = recognizer.partial().text
    assert recognizer.partial().text == first
    assert decoder.heard == 1
    recognizer.feed(speech)
    last = recognizer.finish().text
    assert decoder.heard == 2
    assert last != first
    recognizer.start()
    recognizer.feed(speech + 1)
    recognizer.feed(speech)
    recognizer.finish()
    assert decoder.heard == 3, "another utterance of the same length is another one"
