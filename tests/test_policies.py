"""The pure policies and buffers of the loop, each alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio import events as fact
from audio.bargein import cuts_reply
from audio.buffers import PreRoll, Reblocker
from audio.endpoint import Endpointer
from audio.frames import FRAME, Pcm, Samples, TurnId, ms
from audio.gate import Gate, GateReading, level_db
from audio.mixer import Mixer
from audio.settings import EndpointSettings, GateSettings, ReplySettings
from audio.speech import SpokenReply

_rng = np.random.default_rng(7)


def noise(level: float, milliseconds: int) -> Pcm:
    """White noise at `level` dBFS."""
    return (_rng.standard_normal(ms(milliseconds)) * 32768 * 10 ** (level / 20)).clip(-32768, 32767).astype(np.int16)


def gate_events(pcm: Pcm, speech: list[bool] | None = None) -> list[fact.SpeechStarted | fact.SpeechEnded]:
    gate = Gate(GateSettings())
    found = []
    for index, start in enumerate(range(0, len(pcm) - FRAME + 1, FRAME)):
        reading = gate.step(Samples(start), pcm[start : start + FRAME], speech[index] if speech else True)
        if reading.event:
            found.append(reading.event)
    return found


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(1, 300))
def test_reblocking_keeps_every_sample_in_order(sizes: list[int], size: int) -> None:
    total = sum(sizes)
    pcm = np.arange(total, dtype=np.int16)
    blocks = Reblocker(size)
    out: list[Pcm] = []
    at = 0
    for length in sizes:
        out += list(blocks.push(pcm[at : at + length]))
        at += length
    assert all(len(block) == size for block in out)
    joined = np.concatenate([np.zeros(0, np.int16), *out])
    assert np.array_equal(joined, pcm[: total - total % size])


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(-10, 500), st.integers(0, 120))
def test_the_pre_roll_answers_by_sample(sizes: list[int], start: int, length: int) -> None:
    ring, whole = PreRoll(50), np.zeros(0, np.int16)
    for size in sizes:
        block = np.arange(len(whole), len(whole) + size, dtype=np.int16)
        ring.write(block)
        whole = np.concatenate([whole, block])
    oldest = max(0, len(whole) - 50)
    expected = whole[max(start, oldest) : max(0, start + length)]
    assert np.array_equal(ring.read(Samples(start), Samples(start + length)), expected)


def reading(voiced: bool, db: float = -20.0, floor: float = -60.0) -> GateReading:
    return GateReading(voiced, db, db, floor, None)


def test_the_gate_opens_on_a_voice_and_closes_after_the_hangover() -> None:
    pcm = np.concatenate([noise(-60, 500), noise(-25, 500), noise(-60, 500)])
    started, ended = gate_events(pcm)
    assert isinstance(started, fact.SpeechStarted)
    assert abs(started.onset - ms(500)) <= FRAME
    assert started.at - started.onset == ms(50)
    assert isinstance(ended, fact.SpeechEnded)
    assert abs(ended.last - ms(1000)) <= 2 * FRAME
    assert ended.at - ended.last == ms(150)


def test_a_click_does_not_open_the_gate() -> None:
    pcm = np.concatenate([noise(-60, 500), noise(-20, 30), noise(-60, 500)])
    assert gate_events(pcm) == []


def test_steady_noise_that_the_detector_calls_speech_lifts_the_floor() -> None:
    pcm = np.concatenate([noise(-60, 300), noise(-35, 15_000)])
    assert [type(event).__name__ for event in gate_events(pcm)] == ["SpeechStarted", "SpeechEnded"]


def test_level_of_silence_and_of_full_scale() -> None:
    assert level_db(np.zeros(FRAME, np.int16)) == -80.0
    assert level_db(np.full(FRAME, 32767, np.int16)) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("voice", "silence_after", "expected"),
    [(500, 700, "silence"), (500, 500, None), (60, 2000, None), (60, 5000, "no_speech"), (15_000, 0, "cap")],
)
def test_endpoint(voice: int, silence_after: int, expected: str | None) -> None:
    judge = Endpointer(EndpointSettings(), Samples(0), held=False)
    reasons = [
        judge.step(Samples(at + FRAME), reading(at < ms(voice))) for at in range(0, ms(voice + silence_after), FRAME)
    ]
    assert next((reason for reason in reasons if reason), None) == expected


def test_somebody_who_begins_softly_to_speak_on_is_not_cut() -> None:
    judge = Endpointer(EndpointSettings(), Samples(0), held=False)
    spoken = [(True, -20.0)] * 100 + [(False, -60.0)] * 66 + [(True, -48.0)] * 6 + [(True, -20.0)] * 50
    ends = [judge.step(Samples((n + 1) * FRAME), reading(v, db=db, floor=-60.0)) for n, (v, db) in enumerate(spoken)]
    assert not any(ends)


def test_a_held_utterance_is_not_ended_by_silence() -> None:
    judge = Endpointer(EndpointSettings(), Samples(0), held=True)
    assert not any(judge.step(Samples(at + FRAME), reading(False)) for at in range(0, ms(10_000), FRAME))


def test_the_room_behind_does_not_keep_an_utterance_open() -> None:
    judge = Endpointer(EndpointSettings(), Samples(0), held=False)
    ended = None
    for at in range(0, ms(3000), FRAME):
        talking = at < ms(1000)
        babble = reading(True, db=-20.0 if talking else -32.0, floor=-40.0)
        ended = judge.step(Samples(at + FRAME), babble)
        if ended:
            break
    assert ended == "silence"
    assert judge.speech_end == ms(1000)


def test_who_may_cut_a_reply() -> None:
    word = fact.WakeHeard(word="hey_jarvis", score=1.0, word_end=Samples(0))
    assert cuts_reply(word, interruptible=True) == "wake"
    assert cuts_reply(word, interruptible=False) is None
    assert cuts_reply(fact.Pressed(), interruptible=False) == "press"


def test_the_mixer_counts_what_was_heard_and_is_silent_after_a_cut() -> None:
    mixer = Mixer(ReplySettings())
    mixer.begin_speech()
    mixer.add_speech(np.full(1000, 1000, np.int16))
    assert np.all(mixer.pull(400) == 1000)
    assert mixer.spoken == 400
    mixer.cut_speech()
    faded = mixer.pull(FRAME)
    assert faded[0] == 1000
    assert faded[-1] == 0
    assert not mixer.pull(1000).any()
    assert mixer.spoken == 400


def test_the_mixer_never_wraps() -> None:
    mixer = Mixer(ReplySettings(volume_db=20))
    mixer.begin_speech()
    mixer.add_speech(np.full(FRAME, 30_000, np.int16))
    mixer.play("ready")
    assert mixer.pull(FRAME).min() >= 0


@given(st.integers(0, 4000))
def test_the_ledger_tells_the_words_heard(spoken: int) -> None:
    reply = SpokenReply(TurnId(1), "r", follow_up=False, interruptible=True)
    reply.add("one two three,", 1500)
    reply.add("four five.", 1000)
    reply.close()
    heard = reply.heard(spoken).split()
    assert heard == ["one", "two", "three,", "four", "five."][: len(heard)]
    assert reply.played(spoken) == (spoken >= 2500)
    assert len(heard) == 5 or spoken < 2500


def follow_up(*parts: tuple[int, float], floor: float, talker: float = -20.0) -> tuple[Endpointer, str | None]:
    """A follow-up to somebody who spoke at `talker` dB; `parts` are voices of so many ms and dB, then the room's."""
    judge = Endpointer(EndpointSettings(), Samples(0), held=False, expected_db=talker)
    judge.credit(Samples(0), ms(50))
    levels = [db for length, db in parts for _ in range(length // 10)] + [floor] * 600
    for number, db in enumerate(levels):
        end = judge.step(Samples((number + 1) * FRAME), reading(db > floor, db=db, floor=floor))
        if end:
            return judge, end
    return judge, None


def test_the_room_gives_no_answer_in_a_follow_up() -> None:
    judge, end = follow_up((5000, -34.0), floor=-44.0)
    assert (end, judge.spoken, judge.reached) == ("no_speech", False, None)


@pytest.mark.parametrize(("answer_db", "floor"), [(-20.0, -44.0), (-31.0, -44.0), (-35.0, -60.0)])
def test_an_answer_through_the_room_and_by_somebody_softer_is_heard(answer_db: float, floor: float) -> None:
    behind = floor + 10
    judge, end = follow_up((2000, behind), (400, answer_db), (2000, behind), floor=floor)
    assert (end, judge.reached) == ("silence", ms(2010))


def test_the_level_of_a_talker_is_not_that_of_a_click() -> None:
    judge = Endpointer(EndpointSettings(), Samples(0), held=False)
    for number, db in enumerate([-20.0] * 50 + [-3.0] * 6 + [-45.0] * 50):
        judge.step(Samples((number + 1) * FRAME), reading(True, db=db, floor=-60.0))
    assert judge.level_db == -20.0
    assert Endpointer(EndpointSettings(), Samples(0), held=False).level_db is None
