"""Human speech through the whole listener with the real recognizer: gate, pre-roll, endpoint, padding."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import numpy as np
import pytest

from audio.assembly import build_conversation, recognizer
from audio.events import Event, FinalText, NoticeDecided, Pressed, Released, UtteranceEnded
from audio.frames import Pcm, Samples, ms, silence
from audio.replay import Replay, Step, Trace, Visit
from audio.turn import Turn
from audio.virtual import FixedCosts
from audio.wav import read_wav
from audio.wire import EarsConfig
from audio.workers import Job, RecognitionJob, SynthesisJob
from models.scripted import Script, ScriptedSynthesizer
from tests import prompts
from tests.scenario import CannedApp
from tests.wer import normalized, wer

pytestmark = pytest.mark.models
RECORDINGS = Path(__file__).parent.parent.parent / "shared" / "recordings"
shared = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no ../shared/recordings beside this checkout")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    stt = recognizer("moonshine")
    stt.load()
    return {"stt": RecognitionJob(stt), "tts": SynthesisJob(ScriptedSynthesizer(Script()))}


def room(pcm: Pcm) -> Pcm:
    """With the floor of a quiet room, as every microphone has."""
    padded = np.concatenate([silence(ms(300)), pcm, silence(ms(300))])
    noise = np.random.default_rng(5).normal(0, 32768 * 10 ** (-65 / 20), len(padded))
    return np.clip(padded + noise, -32768, 32767).astype(np.int16)


def play(jobs: dict[str, Job], source: Visit, app: CannedApp) -> Trace:
    conversation = build_conversation(EarsConfig(epoch=1, wake_engine="none"), echo=False)
    return asyncio.run(Replay(conversation, jobs, app, FixedCosts()).run(source))


def spoken_in_a_follow_up(jobs: dict[str, Job], pcm: Pcm) -> str:
    """No word, no button: the gate opens the utterance, silence ends it."""
    opening = NoticeDecided(reply="n", text="Go", follow_up=True)
    trace = play(jobs, Visit([Step(room(pcm), frozenset({Turn.FOLLOW_UP}), 300)]), CannedApp(at={100: opening}))
    return " ".join(event.text for event in trace.events if isinstance(event, FinalText))


class Held(Visit):
    """A button held while the recording plays."""

    def __init__(self, pcm: Pcm, app: CannedApp) -> None:
        super().__init__([Step(pcm, frozenset({Turn.LISTENING}), 10)])
        app.at[100] = Pressed()
        self._app = app
        self._pcm = pcm

    def frame(self, now: Samples, state: Turn) -> Pcm | None:
        frame = super().frame(now, state)
        if frame is None and not any(isinstance(event, UtteranceEnded) for event in self._app.seen):
            self._app.at.setdefault(now * 1000 // 16000, Released())
        return frame


def pushed_to_talk(jobs: dict[str, Job], pcm: Pcm) -> tuple[str, list[Event]]:
    app = CannedApp()
    trace = play(jobs, Held(room(pcm), app), app)
    return " ".join(event.text for event in trace.events if isinstance(event, FinalText)), trace.events


@pytest.mark.skipif(bool(prompts.missing()), reason=str(prompts.missing()))
def test_human_prompts_through_the_whole_listener(jobs: dict[str, Job]) -> None:
    wrong = words = 0.0
    found = list(prompts.prompts())
    assert len(found) >= 70
    for prompt in found:
        heard = spoken_in_a_follow_up(jobs, prompt.pcm)
        count = len(normalized(prompt.text).split())
        rate = wer(prompt.text, heard)
        wrong += rate * count
        words += count
        if rate:
            print(f"{rate:4.2f} {prompt.name}: {prompt.text!r} -> {heard!r}")
    print(f"WER {100 * wrong / words:.2f} % over {len(found)} prompts, {words:.0f} words")
    assert wrong / words <= 0.05


def _english() -> list[dict[str, str]]:
    table = RECORDINGS / "manifest.toml"
    entries = tomllib.loads(table.read_text())["recording"] if table.is_file() else []
    return [entry for entry in entries if entry["language"] == "en"]


@shared
@pytest.mark.parametrize("entry", _english(), ids=lambda entry: entry["file"])
def test_human_recordings_pushed_to_talk(jobs: dict[str, Job], entry: dict[str, str]) -> None:
    heard, _ = pushed_to_talk(jobs, read_wav(RECORDINGS / entry["file"]))
    print(f"{wer(entry['text'], heard):.3f} {heard!r}")
    assert wer(entry["text"], heard) <= 0.10
