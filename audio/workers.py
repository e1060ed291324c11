"""Owns how slow work is done: what waits, what is overtaken, and the jobs (recognition, synthesis, wake words).

The live shell runs an `Inbox` and a job per thread; the offline shell runs the same on its virtual computer.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from audio.canned import Canned, Said
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

    def prepare(self) -> Iterator[None]:
        """Work that may be done before the first command, in short steps; dropped when a command comes."""
        ...

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
        self._lost: TurnId | None = None
        """The turn whose utterance a failure has taken: said once, and the rest of its audio is for nobody."""

    def prepare(self) -> Iterator[None]:
        yield from ()

    def run(self, command: Command) -> Iterator[Event]:
        if self._lost == command.turn and isinstance(command, FeedRecognition | DecodePartial):
            return
        if self._lost == command.turn and isinstance(command, FinishRecognition):
            yield FinalText(turn=command.turn, text="")
            return
        try:
            yield from self._do(command)
        except EngineError as error:
            self._lost = command.turn
            log.warning("recognizer: %s: %s", error.code, type(error).__name__)
            yield EngineFailed(engine="stt", code=error.code, turn=command.turn)
            if isinstance(command, FinishRecognition):
                yield FinalText(turn=command.turn, text="")

    def _do(self, command: Command) -> Iterator[Event]:
        match command:
            case StartRecognition():
                self._lost = None
                self._recognizer.start(command.phrases)
            case FeedRecognition():
                self._recognizer.feed(np.frombuffer(command.pcm, np.int16))
            case DecodePartial():
                found = self._recognizer.partial()
                yield PartialText(turn=command.turn, text=found.text, stable=found.stable, confidence=found.confidence)
            case FinishRecognition():
                found = self._recognizer.finish()
                yield FinalText(turn=command.turn, text=found.text, confidence=found.confidence)
            case AbortRecognition():
                self._recognizer.abort()

    def interrupt(self, turn: TurnId) -> None:
        """A decoding is short; what waits behind it is dropped by the inbox."""


class SynthesisJob:
    """Owner of the synthesizer; its clauses leave at the loop's rate. What was said lately is not synthesized again."""

    name = "tts"

    def __init__(self, synthesizer: Synthesizer, usual: Sequence[str] = ()) -> None:
        """`usual` are replies that are worth having before they are asked for."""
        self._synthesizer = synthesizer
        self._usual = usual
        self._canned = Canned()
        self._interrupted: TurnId | None = None
        """A turn interrupted before its synthesis began: `cancel` alone would not have met it."""
        self._interruptions = 0
        """A cancelled synthesis ends early and quietly: what it gave is not the reply, and not kept."""

    def prepare(self) -> Iterator[None]:
        """Synthesize the usual replies, one a step: for the time in which nobody has asked for anything yet."""
        for text in self._usual:
            if text not in self._canned:
                before = self._interruptions
                try:
                    said = tuple(self._clauses(text))
                except EngineError as error:
                    # The first reply that is asked for will say so to those who can do something about it.
                    log.warning("synthesizer: %s: %s", error.code, type(error).__name__)
                    return
                if before == self._interruptions:
                    self._canned.keep(text, said)
            yield

    def run(self, command: Command) -> Iterator[Event]:
        if not isinstance(command, Synthesize):
            return
        known = self._canned.get(command.text)
        before = self._interruptions
        said: list[Said] = []
        try:
            for clause in self._clauses(command.text) if known is None else known:
                if self._interrupted == command.turn:
                    return
                yield ClauseSynthesized(
                    turn=command.turn, index=len(said), text=clause.text, pcm=clause.pcm, ends=clause.ends
                )
                said.append(clause)
        except EngineError as error:
            log.warning("synthesizer: %s: %s", error.code, type(error).__name__)
            yield EngineFailed(engine="tts", code=error.code, turn=command.turn)
            return
        if known is None and before == self._interruptions:
            self._canned.keep(command.text, tuple(said))
        yield SynthesisFinished(turn=command.turn, clauses=len(said))

    def interrupt(self, turn: TurnId) -> None:
        self._interrupted = turn
        self._interruptions += 1
        self._synthesizer.cancel()

    def _clauses(self, text: str) -> Iterator[Said]:
        for clause in self._synthesizer.synthesize(text):
            rate = self._synthesizer.rate
            pcm = resample(clause.pcm, rate, RATE)
            ends = tuple(min(word.end * RATE // rate, len(pcm)) for word in clause.words)
            yield Said(clause.text, pcm.tobytes(), ends)


class VerificationJob:
    """Owner of the second wake word detector."""

    name = "wake"

    def __init__(self, verifier: WakeVerifier) -> None:
        self._verifier = verifier

    def prepare(self) -> Iterator[None]:
        yield from ()

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
        for _ in self._job.prepare():
            if self._stop.is_set() or len(self._inbox):
                break
        while not self._stop.is_set():
            with self._wake:
                self._wake.wait_for(lambda: len(self._inbox) > 0 or self._stop.is_set())
                command = self._inbox.get()
            if command is None:
                continue
            for event in self._job.run(command):
                self._post(event)
