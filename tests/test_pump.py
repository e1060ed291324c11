"""The pump with a card that obeys the test: it survives everything a card does."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest

from audio import events as fact
from audio import pump as pump_module
from audio.devices import SoundCardError, SoundCardLost
from audio.events import Event
from audio.frames import FRAME, Pcm, silence
from audio.pump import Pump
from audio.wire import Heartbeat, Outbox
from audio.workers import RecognitionJob, SynthesisJob, WorkerThread
from models.scripted import Script, ScriptedRecognizer, ScriptedSynthesizer
from tests.scenario import conversation


class FakeCard:
    """Frames come from the test, then silence as from any card; every failure can be switched on."""

    echo_delay = 0
    devices = (None, None)

    def __init__(self) -> None:
        self.frames: queue.Queue[Pcm | SoundCardLost] = queue.Queue()
        self.missing = False
        self.opened = 0
        self.input_open = False
        self.closed = False
        self.dropped = 0
        self.written = 0

    def open_output(self) -> FakeCard:
        if self.missing:
            raise SoundCardError("device-missing", "no card")
        self.opened += 1
        return self

    def open_input(self) -> None:
        self.input_open = True

    def flush_output(self) -> None: ...

    def close_input(self) -> None:
        self.input_open = False

    def read(self, timeout: float) -> Pcm | None:
        try:
            item = self.frames.get(timeout=0.01)
        except queue.Empty:
            return silence(FRAME)
        if isinstance(item, SoundCardLost):
            raise item
        return item

    def write(self, far: Pcm) -> None:
        self.written += int(np.any(far))

    def lost(self) -> int:
        dropped, self.dropped = self.dropped, 0
        return dropped

    def close(self) -> None:
        self.closed = True
        self.input_open = False


class Rig:
    """A running pump; `wait` returns the next event of a kind."""

    def __init__(self) -> None:
        self.script = Script()
        self.card = FakeCard()
        self.outbox = Outbox()
        self.posted: queue.SimpleQueue[Event] = queue.SimpleQueue()
        jobs = {
            "stt": RecognitionJob(ScriptedRecognizer(self.script)),
            "tts": SynthesisJob(ScriptedSynthesizer(self.script)),
        }
        workers = {name: WorkerThread(job, self.posted.put) for name, job in jobs.items()}
        for worker in workers.values():
            worker.start()
        self.pump = Pump(conversation(self.script), self.card.open_output, workers, self.posted, self.outbox)
        self.thread = threading.Thread(target=self.pump.run)

    def start(self) -> Rig:
        self.thread.start()
        return self

    def say(self, pcm: Pcm) -> None:
        for start in range(0, len(pcm), FRAME):
            self.card.frames.put(pcm[start : start + FRAME])

    def wait(self, *kinds: type) -> object:
        """The next message of one of these kinds; the outbox is watched by a thread, so a hang ends the test."""
        found: queue.Queue[object] = queue.Queue()

        def look() -> None:
            while True:
                message = self.outbox.get()
                if message is None or isinstance(message, kinds):
                    found.put(message)
                    return

        threading.Thread(target=look, daemon=True).start()
        return found.get(timeout=10)

    def stop(self) -> None:
        self.pump.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()
        assert not self.card.input_open


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setattr(pump_module, "_RETRY_S", 0.05)
    made = Rig()
    yield made
    made.stop()


def test_a_request_goes_through_and_the_answer_is_played(rig: Rig) -> None:
    rig.start()
    rig.wait(fact.MicrophoneOpened)
    rig.say(np.concatenate([rig.script.wake(), rig.script.say("hello"), rig.script.pause(1500)]))
    answer = rig.wait(pump_module.Answer)
    assert isinstance(answer, pump_module.Answer)
    assert answer.text == "hello"
    rig.posted.put(fact.ReplyDecided(turn=answer.turn, reply="r", text="Hi."))
    rig.say(rig.script.pause(5000))
    finished = rig.wait(fact.ReplyFinished)
    assert isinstance(finished, fact.ReplyFinished)
    assert finished.heard == "Hi."
    assert rig.card.written > 10


def test_without_a_card_it_waits_for_one_and_beats(rig: Rig) -> None:
    rig.card.missing = True
    rig.start()
    ready = rig.wait(fact.EarsReady)
    assert isinstance(ready, fact.EarsReady)
    assert not ready.hearing
    rig.wait(Heartbeat)
    rig.card.missing = False
    rig.wait(fact.MicrophoneOpened)


def test_a_lost_card_is_an_event_and_it_is_opened_again(rig: Rig) -> None:
    rig.start()
    rig.wait(fact.MicrophoneOpened)
    rig.card.frames.put(SoundCardLost("device-failed", "gone"))
    lost = rig.wait(fact.MicrophoneLost)
    assert isinstance(lost, fact.MicrophoneLost)
    assert lost.code == "device-failed"
    rig.wait(fact.MicrophoneOpened)
    assert rig.card.opened == 2


def test_muting_closes_the_input_and_unmuting_opens_it(rig: Rig) -> None:
    rig.start()
    rig.wait(fact.MicrophoneOpened)
    rig.posted.put(fact.MuteRequested(muted=True))
    rig.wait(fact.MicrophoneMuted)
    rig.wait(Heartbeat)
    assert not rig.card.input_open
    rig.posted.put(fact.MuteRequested(muted=False))
    rig.wait(fact.MicrophoneOpened)
    assert rig.card.input_open
    assert rig.card.opened == 1, "the output was never closed"


def test_while_muted_the_clock_and_the_voice_go_on(rig: Rig) -> None:
    rig.start()
    rig.wait(fact.MicrophoneOpened)
    rig.posted.put(fact.MuteRequested(muted=True))
    rig.posted.put(fact.NoticeDecided(reply="n", text="Your timer is done."))
    rig.wait(fact.ReplyFinished)


def test_what_the_card_dropped_is_put_back_as_silence(rig: Rig) -> None:
    rig.card.dropped = 1600
    rig.start()
    rig.say(rig.script.pause(100))
    lost = rig.wait(fact.SamplesLost)
    assert isinstance(lost, fact.SamplesLost)
    assert lost.count == 1600


def test_what_is_to_be_said_waits_for_a_loudspeaker(rig: Rig) -> None:
    rig.card.missing = True
    rig.posted.put(fact.NoticeDecided(reply="n", text="You are booked."))
    rig.start()
    rig.wait(fact.MicrophoneLost)
    rig.wait(Heartbeat)
    rig.wait(Heartbeat)
    assert rig.card.written == 0
    rig.card.missing = False
    rig.say(rig.script.pause(5000))
    finished = rig.wait(fact.ReplyFinished, fact.MicrophoneLost)
    assert isinstance(finished, fact.ReplyFinished), "a loss is told once, not at every attempt"
    assert finished.heard == "You are booked."
    assert rig.card.written > 0


def test_a_card_that_opens_slowly_holds_up_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "_HEARTBEAT_S", 0.02)
    monkeypatch.setattr(pump_module, "_SLOW_S", 0.05)
    served = threading.Event()
    opening = rig.card.open_input

    def slowly() -> None:
        assert served.wait(10)
        opening()

    monkeypatch.setattr(rig.card, "open_input", slowly)
    rig.start()
    ready = rig.wait(fact.EarsReady)
    assert isinstance(ready, fact.EarsReady)
    assert not ready.hearing
    rig.posted.put(fact.NoticeDecided(reply="n", text="Your timer is done."))
    finished = rig.wait(fact.ReplyFinished, fact.MicrophoneOpened)
    assert isinstance(finished, fact.ReplyFinished), "the loudspeaker goes on"
    for _ in range(5):
        rig.wait(Heartbeat)
    served.set()
    rig.wait(fact.MicrophoneOpened)


def test_a_card_that_never_answers_ends_the_pump(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "_STUCK_S", 0.1)
    hangs = threading.Event()
    monkeypatch.setattr(rig.card, "open_input", hangs.wait)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            rig.pump.run()
        except pump_module.CardStuck as stuck:
            ended.append(stuck)

    rig.thread = threading.Thread(target=run)
    rig.start()
    rig.thread.join(10)
    assert [str(error) for error in ended] == ["the sound system has not answered for 0 s"]
    hangs.set()
