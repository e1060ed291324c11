"""The second opinion on a wake word, with scripted engines: begun at once, answered only when confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from audio.conversation import Conversation
from audio.events import FinalText, ReplyStarted, TurnEnded, TurnStarted, WakeHeard, WakeWordsSet
from audio.frames import Pcm
from audio.listener import Listener
from audio.replay import Recording, Replay, Trace
from audio.settings import LoopSettings, WakeSettings
from audio.virtual import FixedCosts
from audio.workers import RecognitionJob, SynthesisJob, VerificationJob
from models.engines import EngineError, WakeScore, WakeVerdict
from models.scripted import Script, ScriptedRecognizer, ScriptedSynthesizer, ScriptedVoiceDetector, ScriptedWakeDetector
from tests.scenario import CannedApp


class Unsure(ScriptedWakeDetector):
    """Reports every word as one that somebody should look at, and the last of several as sure if `sure`."""

    sure = False

    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        return [WakeScore(found.word, 0.6, sure=self.sure) for found in super().process(frame)]


class Judge:
    """Says what the test wants."""

    def __init__(self, *verdicts: bool | None) -> None:
        self._verdicts = list(verdicts)
        self.heard: list[int] = []

    def load(self) -> None: ...

    def verify(self, word: str, pcm: Pcm) -> WakeVerdict:
        self.heard.append(len(pcm))
        verdict = self._verdicts.pop(0)
        if verdict is None:
            raise EngineError("scripted failure")
        return WakeVerdict(0.9 if verdict else 0.1, verdict)


async def played(
    script: Script, audio: Sequence[Pcm], judge: Judge, costs: FixedCosts | None = None, app: CannedApp | None = None
) -> Trace:
    settings = LoopSettings(wake=WakeSettings(confirmed=("hey_jarvis",)))
    listener = Listener(settings.gate, ScriptedVoiceDetector(), Unsure(script), None)
    jobs = {
        "stt": RecognitionJob(ScriptedRecognizer(script)),
        "tts": SynthesisJob(ScriptedSynthesizer(script)),
        "wake": VerificationJob(judge),
    }
    replay = Replay(Conversation(listener, settings), jobs, app or CannedApp(), costs or FixedCosts(), cores=2)
    return await replay.run(Recording(np.concatenate(audio)))


def run(*arguments: object, **named: object) -> Trace:
    import asyncio

    return asyncio.run(played(*arguments, **named))  # type: ignore[arg-type]


def outcomes(trace: Trace) -> list[str]:
    return [event.outcome for event in trace.events if isinstance(event, TurnEnded)]


def request(script: Script) -> list[Pcm]:
    return [script.pause(500), script.wake(), script.say("what time is it"), script.pause(2500)]


def test_a_confirmed_word_is_answered_as_soon_as_without_a_second_opinion() -> None:
    script = Script()
    judge = Judge(True)
    trace = run(script, request(script), judge)
    assert outcomes(trace) == ["answered"]
    spoken = next(event.at for event in trace.events if isinstance(event, ReplyStarted))
    plain = Script()
    settings = LoopSettings()
    listener = Listener(settings.gate, ScriptedVoiceDetector(), ScriptedWakeDetector(plain), None)
    jobs = {"stt": RecognitionJob(ScriptedRecognizer(plain)), "tts": SynthesisJob(ScriptedSynthesizer(plain))}
    import asyncio

    without = asyncio.run(
        Replay(Conversation(listener, settings), jobs, CannedApp(), FixedCosts()).run(
            Recording(np.concatenate(request(plain)))
        )
    )
    at = next(event.at for event in without.events if isinstance(event, ReplyStarted))
    assert spoken - at <= FixedCosts().verdict_ms * 16, "at most the computer's time for it, in the user's own silence"
    assert judge.heard[0] > 16_000


def test_a_rejected_word_ends_without_a_sound_and_without_an_answer() -> None:
    script = Script()
    app = CannedApp()
    trace = run(script, request(script), Judge(False), app=app)
    assert outcomes(trace) == ["rejected"]
    assert not app.asked
    assert not np.any(trace.far), "nobody hears that something was looked at"


def test_an_answer_waits_for_a_late_opinion() -> None:
    script = Script()
    app = CannedApp()
    late = FixedCosts(verdict_ms=4000)
    trace = run(script, [*request(script), script.pause(4000)], Judge(True), late, app)
    assert outcomes(trace) == ["answered"]
    assert app.asked == ["what time is it"]
    final = next(event.at for event in trace.events if isinstance(event, FinalText))
    assert next(event.at for event in trace.events if isinstance(event, ReplyStarted)) - final > 16_000


def test_a_late_no_is_a_no() -> None:
    script = Script()
    app = CannedApp()
    trace = run(script, [*request(script), script.pause(4000)], Judge(False), FixedCosts(verdict_ms=3000), app)
    assert (outcomes(trace), app.asked) == (["rejected"], [])


def test_a_second_detector_that_fails_leaves_the_first_ones_word() -> None:
    script = Script()
    assert outcomes(run(script, request(script), Judge(None))) == ["answered"]


def test_the_next_request_after_a_rejection_is_heard() -> None:
    script = Script()
    trace = run(script, [*request(script), *request(script)], Judge(False, True))
    assert outcomes(trace) == ["rejected", "answered"]


def test_what_is_not_sure_takes_nothing_away() -> None:
    script = Script()
    reply = "A long answer with many words in it that goes on for a while and then some more."
    audio = [*request(script)[:3], script.pause(1500), script.wake(), script.pause(6000)]
    trace = run(script, audio, Judge(True), app=CannedApp({"what time is it": reply}))
    assert outcomes(trace) == ["answered"]
    assert len([event for event in trace.events if isinstance(event, WakeHeard)]) == 2


@pytest.mark.parametrize(("words", "turns"), [((), 0), (("alexa",), 0), (("hey_jarvis",), 1)])
def test_a_word_outside_its_hours_is_not_listened_for(words: tuple[str, ...], turns: int) -> None:
    script = Script()
    app = CannedApp(at={0: WakeWordsSet(words=words)})
    trace = run(script, request(script), Judge(True), app=app)
    assert len([event for event in trace.events if isinstance(event, TurnStarted)]) == turns
