"""Turn-taking with scripted engines: golden traces, and that a trace does not depend on how the audio is cut."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import events as fact
from audio.buffers import Reblocker
from audio.events import Event
from audio.frames import FRAME, Pcm, TurnId, ms
from audio.replay import Step, Trace, Visit
from audio.settings import EndpointSettings, LoopSettings
from audio.turn import Turn
from models.scripted import Script, ScriptedRecognizer, ScriptedSynthesizer
from tests.scenario import CannedApp, conversation, lines, notice, open_reply, play

GOLDEN = Path(__file__).parent / "golden"


def visit(script: Script) -> tuple[list[Pcm], CannedApp]:
    """Wake word and request in one breath; then with a pause, a question back, an answer in the follow-up."""
    audio = [script.pause(500), script.wake(), script.say("what time is it"), script.pause(2500)]
    audio += [script.wake(), script.pause(700), script.say("book a table please"), script.pause(3000)]
    audio += [script.say("at eight"), script.pause(2000)]
    return audio, CannedApp({"book a table please": open_reply("For when, please?"), "at eight": "Booked for eight."})


def check_golden(name: str, trace: Trace) -> None:
    """Compare with the stored trace; WAKELINE_GOLDEN=write stores it anew."""
    path = GOLDEN / f"{name}.txt"
    text = "\n".join(lines(trace.events)) + "\n"
    if os.environ.get("WAKELINE_GOLDEN") == "write":
        path.write_text(text)
    assert path.read_text() == text


def of(trace: Trace, kind: type[Event]) -> list[Event]:
    return [event for event in trace.events if isinstance(event, kind)]


def texts(trace: Trace) -> list[str]:
    return [event.text for event in trace.events if isinstance(event, fact.FinalText)]


def test_the_visit_leaves_the_golden_trace() -> None:
    script = Script()
    audio, app = visit(script)
    trace = play(script, audio, app)
    assert app.asked == ["what time is it", "book a table please", "at eight"]
    check_golden("visit", trace)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8))
def test_however_it_is_cut_the_trace_is_the_same(cuts: list[int]) -> None:
    script = Script()
    audio, app = visit(script)
    pcm = np.concatenate(audio)

    class Cut:
        """The recording in blocks of changing length, re-blocked as the live shell does it."""

        def __init__(self) -> None:
            self.reblocker = Reblocker()
            self.frames: list[Pcm] = []
            self.at = self.turn = 0

        def frame(self, now: int, state: Turn) -> Pcm | None:
            while not self.frames and self.at < len(pcm):
                size = cuts[self.turn % len(cuts)]
                self.turn += 1
                self.frames += list(self.reblocker.push(pcm[self.at : self.at + size]))
                self.at += size
            return self.frames.pop(0) if self.frames else None

    cut = play(script, Cut(), app)
    assert "\n".join(lines(cut.events)) + "\n" == (GOLDEN / "visit.txt").read_text()


def test_a_reply_is_cut_by_the_wake_word_and_the_ledger_says_what_was_heard() -> None:
    script = Script()
    long = "One two three four, five six seven eight, nine ten."
    app = CannedApp({"tell me": long})
    steps = [
        Step(np.concatenate([script.wake(), script.say("tell me")])),
        Step(
            np.concatenate([script.wake(frames=30), script.say("stop")]), when=frozenset({Turn.SPEAKING}), pause_ms=700
        ),
    ]
    trace = play(script, Visit(steps), app)
    (cut,) = of(trace, fact.ReplyCut)
    assert isinstance(cut, fact.ReplyCut)
    assert long.startswith(cut.heard)
    assert 3 <= len(cut.heard.split()) <= 6
    assert app.asked == ["tell me", "stop"]
    after = trace.far[cut.at + ms(20) : cut.at + ms(200)]
    assert not after.any(), "silence within the fade and one block"
    assert app.abandoned == [cut.turn]


def test_what_is_uninterruptible_is_not_cut_by_a_word() -> None:
    script = Script()
    app = CannedApp({"book it": open_reply("Your booking is being written, wait.", interruptible=False)})
    steps = [
        Step(np.concatenate([script.wake(), script.say("book it")])),
        Step(script.wake(frames=30), when=frozenset({Turn.SPEAKING}), pause_ms=300),
    ]
    trace = play(script, Visit(steps), app)
    assert not of(trace, fact.ReplyCut)
    assert len(of(trace, fact.ReplyFinished)) == 1


def test_nothing_said_after_the_wake_word_ends_quietly() -> None:
    script = Script()
    trace = play(script, [script.wake(), script.pause(7000)])
    (ended,) = of(trace, fact.TurnEnded)
    assert ended.outcome == "nothing_said"  # type: ignore[union-attr]
    assert texts(trace) == []


def test_a_request_that_goes_on_and_on_is_ended_by_the_cap() -> None:
    script = Script()
    loop = LoopSettings(endpoint=EndpointSettings(cap_ms=3000))
    trace = play(script, [script.wake(), script.say("word " * 20)], settings=loop)
    assert [event.reason for event in trace.events if isinstance(event, fact.UtteranceEnded)] == ["cap"]


def test_speech_without_words_in_a_follow_up_is_not_answered() -> None:
    script = Script()
    app = CannedApp({"hello": open_reply("Yes?")})
    recognizer = ScriptedRecognizer(script)
    steps = [
        Step(np.concatenate([script.wake(), script.say("hello")])),
        Step(script.reply("noise"), when=frozenset({Turn.FOLLOW_UP}), pause_ms=500),  # voice, no words
    ]
    trace = play(script, Visit(steps), app, recognizer=recognizer)
    assert [e.outcome for e in trace.events if isinstance(e, fact.TurnEnded)] == ["answered", "not_heard"]
    assert app.asked == ["hello"]


def test_an_engine_that_fails_costs_a_turn_never_the_loop() -> None:
    script = Script()
    recognizer, synthesizer = ScriptedRecognizer(script), ScriptedSynthesizer(script)
    recognizer.fail = synthesizer.fail = True
    audio = [script.wake(), script.say("one"), script.pause(3000), script.wake(), script.say("two"), script.pause(3000)]
    app = CannedApp()
    trace = play(script, audio, app, recognizer=recognizer, synthesizer=synthesizer)
    assert {event.engine for event in trace.events if isinstance(event, fact.EngineFailed)} == {"stt", "tts"}
    assert app.asked[-1] == "two"
    assert of(trace, fact.ReplyFinished)


def test_a_notice_waits_for_the_turn_and_an_alert_rings_until_it_is_answered() -> None:
    script = Script()
    app = CannedApp(
        {"hello": "Hello there."},
        at={1500: notice("The call is over."), 1600: fact.AlertRaised(alert="t1", kind="timer")},
    )
    steps = [
        Step(np.concatenate([script.wake(), script.say("hello")])),
        Step(script.say("stop"), when=frozenset({Turn.ALERTING}), pause_ms=2000),
    ]

    class Clearing(CannedApp):
        async def perform(self, command, at):  # type: ignore[no-untyped-def]
            results = await super().perform(command, at)
            if getattr(command, "text", "") == "stop":
                return (fact.AlertCleared(alert="t1"), *results)
            return results

    app = Clearing(app.answers, app.at)
    trace = play(script, Visit(steps), app)
    said = [event.heard for event in trace.events if isinstance(event, fact.ReplyFinished)]
    assert said == ["Hello there.", "The call is over.", "You said stop."]
    origins = [event.by for event in trace.events if isinstance(event, fact.TurnStarted)]
    assert origins == ["wake", "notice", "alert"]


def press(core, script: Script, text: str) -> list[Event]:  # type: ignore[no-untyped-def]
    return press_over(core, script.say(text))


def press_over(core, pcm: Pcm) -> list[Event]:  # type: ignore[no-untyped-def]
    core.receive(fact.MicrophoneOpened())
    core.receive(fact.Pressed())
    for start in range(0, len(pcm), FRAME):
        core.feed(pcm[start : start + FRAME], core.pull())
    core.receive(fact.Released())
    return list(core.take().events)


def test_push_to_talk_hears_everything_between_press_and_release() -> None:
    script = Script()
    core = conversation(script)
    events = press(core, script, "what is the date")
    ended = [event for event in events if isinstance(event, fact.UtteranceEnded)]
    assert [event.reason for event in ended] == ["release"]
    assert core.state is Turn.THINKING


def test_a_wake_word_said_while_the_button_is_held_begins_nothing_new() -> None:
    script = Script()
    core = conversation(script)
    pcm = [script.say("please"), script.wake(), script.say("book a table"), script.pause(900), script.say("at eight")]
    events = press_over(core, np.concatenate(pcm))
    assert any(isinstance(event, fact.WakeHeard) for event in events)
    assert [event.by for event in events if isinstance(event, fact.TurnStarted)] == ["press"]
    assert [event.reason for event in events if isinstance(event, fact.UtteranceEnded)] == ["release"]


@pytest.mark.parametrize("closing", [fact.MuteRequested(muted=True), fact.MicrophoneLost(code="device-failed")])
def test_a_closed_microphone_hears_nothing_and_says_so(closing: Event) -> None:
    script = Script()
    core = conversation(script)
    core.receive(fact.MicrophoneOpened())
    core.receive(fact.Pressed())
    core.receive(closing)
    assert core.state is Turn.IDLE
    core.receive(fact.Pressed())
    assert core.state is Turn.IDLE
    assert np.any(core.pull(1600)), "the sound for cannot hear"


def test_lost_samples_do_not_move_the_clock() -> None:
    script = Script()
    core = conversation(script)
    core.receive(fact.MicrophoneOpened())
    core.receive(fact.SamplesLost(count=1600))
    core.feed(script.pause(10), core.pull())
    assert core.now == 1600 + FRAME


def stale(events: Sequence[Event]) -> list[TurnId]:
    return [event.turn for event in events if isinstance(event, fact.StaleDropped)]


def test_an_answer_for_a_superseded_turn_is_dropped() -> None:
    script = Script()
    core = conversation(script)
    press(core, script, "one")
    turn = next(event.turn for event in press(core, script, "two") if isinstance(event, fact.TurnStarted))
    core.receive(fact.FinalText(turn=TurnId(turn - 1), text="one"))
    events = core.take().events
    assert stale(events) == [turn - 1]
    assert core.state is Turn.THINKING


def test_a_notice_waits_until_the_question_is_answered() -> None:
    script = Script()
    answers = {"book": open_reply("At what time?"), "at eight": "Booked."}
    app = CannedApp(answers, at={3200: notice("The call is over.")})
    steps = [
        Step(np.concatenate([script.wake(), script.say("book")])),
        Step(script.say("at eight"), when=frozenset({Turn.FOLLOW_UP}), pause_ms=1500),
    ]
    trace = play(script, Visit(steps), app)
    said = [event.heard for event in trace.events if isinstance(event, fact.ReplyFinished)]
    assert said == ["At what time?", "Booked.", "The call is over."]
