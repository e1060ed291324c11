"""What was said before begins at once, a reply cut off is never kept, and the ledger counts words by their times."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.canned import Canned, Said
from audio.commands import Synthesize
from audio.events import ClauseSynthesized, EngineFailed, SynthesisFinished
from audio.frames import RATE, TurnId
from audio.speech import SpokenReply
from audio.workers import SynthesisJob, WorkerThread
from device.dialog.language import load_language
from device.dialog.wording import Wording
from models.engines import Clause, EngineError, WordTime

T = TurnId(1)


class Voice:
    """A second a word at 8 kHz; counts what it is asked, and can be cancelled or fail in the middle."""

    rate = 8000

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancel_after: str | None = None
        self.job: SynthesisJob | None = None

    def load(self) -> None: ...

    def synthesize(self, text: str) -> Iterator[Clause]:
        self.asked.append(text)
        for word in text.split():
            if word == "fail":
                raise EngineError("no")
            yield Clause(word, np.full(8000, 7, np.int16), (WordTime(word, 800, 7200),))
            if word == self.cancel_after and self.job is not None:
                self.job.interrupt(TurnId(9))
                return

    def cancel(self) -> None: ...


def said(job: SynthesisJob, text: str, turn: TurnId = T) -> list[object]:
    return list(job.run(Synthesize(turn=turn, text=text)))


def test_a_reply_is_synthesized_once_and_its_words_have_times() -> None:
    voice = Voice()
    job = SynthesisJob(voice)
    first, again = said(job, "one two"), said(job, "one two")
    assert first == again
    assert voice.asked == ["one two"]
    clause = first[0]
    assert isinstance(clause, ClauseSynthesized)
    assert clause.ends == (14_400,)
    assert len(clause.pcm) == 2 * RATE
    assert first[-1] == SynthesisFinished(turn=T, clauses=2)


def test_what_was_cancelled_or_failed_is_not_kept() -> None:
    voice = Voice()
    voice.job = job = SynthesisJob(voice)
    voice.cancel_after = "one"
    said(job, "one two")
    voice.cancel_after = None
    assert len(said(job, "one two", TurnId(2))) == 3
    assert isinstance(said(job, "one fail")[-1], EngineFailed)
    assert isinstance(said(job, "one fail")[-1], EngineFailed)
    assert voice.asked == ["one two", "one two", "one fail", "one fail"]


def test_a_kept_reply_is_interrupted_too() -> None:
    voice = Voice()
    job = SynthesisJob(voice)
    said(job, "one two")
    events = job.run(Synthesize(turn=TurnId(2), text="one two"))
    next(events)
    job.interrupt(TurnId(2))
    assert list(events) == []


def test_usual_replies_are_there_before_they_are_asked_for() -> None:
    voice = Voice()
    job = SynthesisJob(voice, ("one", "two"))
    steps = job.prepare()
    next(steps)
    assert voice.asked == ["one"]
    list(steps)
    said(job, "two")
    assert voice.asked == ["one", "two"]
    broken = SynthesisJob(Voice(), ("fail", "one"))
    assert list(broken.prepare()) == []


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=2), st.integers(0, 60)), max_size=60))
def test_the_memory_is_bounded(replies: list[tuple[str, int]]) -> None:
    canned = Canned(most=100)
    for text, size in replies:
        if canned.get(text) is None:
            canned.keep(text, (Said(text, bytes(size), ()),))
        assert canned.size <= 100
        if size <= 25:
            assert text in canned


@pytest.mark.parametrize(("spoken", "heard"), [(0, ""), (99, ""), (100, "it"), (399, "it is"), (600, "it is noon")])
def test_words_count_when_they_have_ended(spoken: int, heard: str) -> None:
    reply = SpokenReply(T, "it is noon", follow_up=False, interruptible=True)
    reply.add("it is noon", 600, (100, 200, 580))
    assert reply.heard(spoken) == heard


def test_the_dialogs_own_sentences_are_the_usual_ones() -> None:
    usual = Wording(load_language().wording).usual
    assert "I didn't catch that." in usual
    assert all("{" not in text and len(text) <= 40 for text in usual)


def test_a_worker_prepares_only_while_nobody_asks() -> None:
    voice = Voice()
    posted: list[object] = []
    finished = threading.Event()

    def post(event: object) -> None:
        posted.append(event)
        if isinstance(event, SynthesisFinished):
            finished.set()

    worker = WorkerThread(SynthesisJob(voice, ("one", "two", "three")), post)
    worker.put(Synthesize(turn=T, text="now"))
    worker.start()
    assert finished.wait(5)
    worker.stop()
    assert voice.asked == ["one", "now"]
