"""Owns how slow work is done: what waits, what is overtaken, and the jobs (recognition, synthesis, wake words).

The live shell runs an `Inbox` and a job per thread; the offline shell runs the same on its virtual computer.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from audio.commands import (
    AbortRecognition,
    CancelSynthesis,
    Command,
    ConfirmWake,
    DecodePartial,
    FeedRecognition,
    FinishRecognition,
    StartRecognition,
    Synthesize,
)
from audio.events import (
    ClauseSynthesized,
    EngineFailed,
    Event,
    FinalText,
    PartialText,
    SynthesisFinished,
    WakeJudged,
)
from audio.frames import RATE, TurnId
from audio.resample import resample
from models.engines import EngineError, Recognizer, Synthesizer, WakeVerifier

log = logging.getLogger("wakeline.audio.workers")


class Job(Protocol):
    """Does the commands of one worker, one after the other."""

    name: str

    def run(self, command: Command) -> Iterator[Event]:
        """Carry out a command; yields each event as soon as it is known. Never raises an `EngineError`."""
        ...

    def interrupt(self, turn: TurnId) -> None:
        """From any thread: end the work for this turn soon, whether it runs already or is about to."""
        ...


class RecognitionJob:
    """Owner of the recognizer."""

    name = "stt"

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def run(self, command: Command) -> Iterator[Event]:
        try:
            match command:
                case StartRecognition():
                    self._recognizer.start(command.phrases)
                case FeedRecognition():
                    self._recognizer.feed(np.frombuffer(command.pcm, np.int16))
                case DecodePartial():
                    found = self._recognizer.partial()
                    yield PartialText(
                        turn=command.turn, text=found.text, stable=found.stable, confidence=found.confidence
                    )
                case FinishRecognition():
                    found = self._recognizer.finish()
                    yield FinalText(turn=command.turn, text=found.text, confidence=found.confidence)
                case AbortRecognition():
                    self._recognizer.abort()
        except EngineError as error:
            log.warning("recognizer: %s: %s", error.code, type(error).__name__)
            yield EngineFailed(engine="stt", code=error.code, turn=command.turn)
            if isinstance(command, FinishRecognition):
                yield FinalText(turn=command.turn, text="")

    def interrupt(self, turn: TurnId) -> None:
        """A decoding is short; what waits behind it is dropped by the inbox."""


class SynthesisJob:
    """Owner of the synthesizer; its clauses leave at the loop's rate."""

    name = "tts"

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer
        self._interrupted: TurnId | None = None
        """A turn interrupted before its synthesis began: `cancel` alone would not have met it."""

    def run(self, command: Command) -> Iterator[Event]:
        if not isinstance(command, Synthesize):
            return
        count = 0
        try:
            for clause in self._synthesizer.synthesize(command.text):
                if self._interrupted == command.turn:
                    return
                pcm = resample(clause.pcm, self._synthesizer.rate, RATE)
                yield ClauseSynthesized(turn=command.turn, index=count, text=clause.text, pcm=pcm.tobytes())
                count += 1
        except EngineError as error:
            log.warning("synthesizer: %s: %s", error.code, type(error).__name__)
            yield EngineFailed(engine="tts", code=error.code, turn=command.turn)
        else:
            yield SynthesisFinished(turn=command.turn, clauses=count)

    def interrupt(self, turn: TurnId) -> None:
        self._interrupted = turn
        self._synthesizer.cancel()


class VerificationJob:
    """Owner of the second wake word detector."""

    name = "wake"

    def __init__(self, verifier: WakeVerifier) -> None:
        self._verifier = verifier

    def run(self, command: Command) -> Iterator[Event]:
        if not isinstance(command, ConfirmWake):
            return
        try:
            verdict = self._verifier.verify(command.word, np.frombuffer(command.pcm, np.int16))
        except EngineError as error:
            log.warning("wake word: %s: %s", error.code, type(error).__name__)
            yield EngineFailed(engine="wake", code=error.code, turn=command.turn)
            return
        yield WakeJudged(turn=command.turn, word=command.word, score=verdict.score, confirmed=verdict.confirmed)

    def interrupt(self, turn: TurnId) -> None:
        """It is short."""


class Inbox:
    """Commands that wait for one worker. It stays short by dropping what is overtaken, so it needs no bound of its own:
    one utterance is bounded by the cap, and a new one clears the old."""

    def __init__(self) -> None:
        self._waiting: deque[Command] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, command: Command) -> bool:
        """Queue it; True when the command being carried out is to be interrupted."""
        match command:
            case StartRecognition() | AbortRecognition():
                self._waiting.clear()
            case DecodePartial() | FinishRecognition():
                self._drop(DecodePartial)
            case CancelSynthesis() | Synthesize():
                self._drop(Synthesize)
            case ConfirmWake():
                self._drop(ConfirmWake)
        if isinstance(command, CancelSynthesis):
            return True
        self._waiting.append(command)
        return False

    def _drop(self, kind: type[Command]) -> None:
        self._waiting = deque(waiting for waiting in self._waiting if not isinstance(waiting, kind))

    def get(self) -> Command | None:
        return self._waiting.popleft() if self._waiting else None


class WorkerThread:
    """Runs one job live. Results are handed to `post` from this thread."""

    def __init__(self, job: Job, post: Callable[[Event], None]) -> None:
        self._job = job
        self._post = post
        self._inbox = Inbox()
        self._wake = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"wakeline-{job.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, command: Command) -> None:
        """From the pump: never blocks on the work itself."""
        with self._wake:
            if self._inbox.put(command):
                self._job.interrupt(command.turn)
            self._wake.notify()

    def stop(self, timeout: float = 2.0) -> None:
        self._stop.set()
        self._job.interrupt(TurnId(0))
        with self._wake:
            self._wake.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._wake:
                self._wake.wait_for(lambda: len(self._inbox) > 0 or self._stop.is_set())
                command = self._inbox.get()
            if command is None:
                continue
            for event in self._job.run(command):
                self._post(event)
