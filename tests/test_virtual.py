"""The virtual computer and the workers: order, cost, what is overtaken, what is interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audio import commands as wish
from audio import events as fact
from audio.commands import Command
from audio.events import Event
from audio.frames import Samples, TurnId, ms
from audio.virtual import FixedCosts, MeasuredCosts, VirtualComputer
from audio.workers import Inbox, RecognitionJob, SynthesisJob, WorkerThread
from models.scripted import Script, ScriptedRecognizer, ScriptedSynthesizer

T = TurnId(1)


def computer(script: Script, cores: int = 1) -> VirtualComputer:
    jobs = {
        "stt": RecognitionJob(ScriptedRecognizer(script)),
        "tts": SynthesisJob(ScriptedSynthesizer(script)),
    }
    return VirtualComputer(jobs, FixedCosts(partial_ms=40, final_ms=60, clause_ms=80), cores)


def run(machine: VirtualComputer, until: int) -> list[tuple[int, Event]]:
    """(millisecond, event) in the order of delivery."""
    return [(now, event) for now in range(0, until + 1, 10) for event in machine.events(Samples(ms(now)))]


def test_work_queues_on_one_core() -> None:
    machine = computer(Script())
    for text in ("one", "two"):
        machine.put(wish.StartRecognition(turn=T))
        machine.put(wish.FinishRecognition(turn=T))
        machine.put(wish.Synthesize(turn=T, text=text))
    delivered = run(machine, 500)
    assert [type(event).__name__ for _, event in delivered] == ["FinalText", "ClauseSynthesized", "SynthesisFinished"]
    assert [when for when, _ in delivered] == [60, 140, 140]


def test_a_second_core_works_beside_the_first() -> None:
    machine = computer(Script(), cores=2)
    machine.put(wish.FinishRecognition(turn=T))
    machine.put(wish.Synthesize(turn=T, text="one"))
    assert [when for when, _ in run(machine, 300)] == [60, 80, 80]


def test_an_overtaken_partial_is_never_decoded() -> None:
    machine = computer(Script())
    machine.charge(Samples(0), ms(200))  # The core is busy: everything waits.
    machine.put(wish.DecodePartial(turn=T))
    machine.put(wish.DecodePartial(turn=T))
    machine.put(wish.FinishRecognition(turn=T))
    assert [(when, type(event).__name__) for when, event in run(machine, 500)] == [(260, "FinalText")]


def test_a_cancelled_reply_yields_no_further_clause() -> None:
    machine = computer(Script())
    machine.put(wish.Synthesize(turn=T, text="one, two, three."))
    first = [event for _, event in run(machine, 80)]
    machine.put(wish.CancelSynthesis(turn=T))
    later = [event for _, event in run(machine, 1000)]
    assert [type(event).__name__ for event in first] == ["ClauseSynthesized"]
    assert len(later) <= 1, "only what was under way already"


def test_measured_costs_are_slowed_down() -> None:
    costs = MeasuredCosts(slowdown=5)
    assert costs.step(wish.DecodePartial(turn=T), None, 0.1) == ms(500)


def test_a_new_utterance_clears_the_old_one() -> None:
    inbox = Inbox()
    inbox.put(wish.FeedRecognition(turn=T, pcm=b""))
    inbox.put(wish.FinishRecognition(turn=T))
    inbox.put(wish.StartRecognition(turn=TurnId(2)))
    assert len(inbox) == 1


def test_a_worker_thread_posts_what_its_job_yields_and_can_be_interrupted() -> None:
    script = Script()
    done: list[Event] = []
    from threading import Event as Flag

    reached, go, over = Flag(), Flag(), Flag()

    class Slow(ScriptedSynthesizer):
        def synthesize(self, text: str) -> Iterator:  # type: ignore[type-arg]
            for clause in super().synthesize(text):
                yield clause
                reached.set()
                go.wait(5)

    class Watching(SynthesisJob):
        def run(self, command: Command) -> Iterator[Event]:
            yield from super().run(command)
            over.set()

    worker = WorkerThread(Watching(Slow(script)), done.append)
    worker.start()
    worker.put(wish.Synthesize(turn=T, text="one, two, three."))
    assert reached.wait(5)
    worker.put(wish.CancelSynthesis(turn=T))
    go.set()
    assert over.wait(5)
    worker.stop()
    assert [type(event).__name__ for event in done] == ["ClauseSynthesized"]
    assert isinstance(done[0], fact.ClauseSynthesized)
    assert np.frombuffer(done[0].pcm, np.int16).any()
