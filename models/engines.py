"""The engine protocols, the values they exchange and their errors: what every engine file keeps to.

An engine has a cheap constructor and a `load()` that opens its model; heavy imports happen inside `load()`. An engine
object has one owner thread, except that `Synthesizer.cancel` may be called from any thread. All audio is mono int16.

    EngineError               code "engine-failed"    it was loaded and then did not do its work
    |-- EngineUnavailable     code "engine-missing"   its package is not installed
    |-- ModelUnavailable      code "model-missing"    its model file is missing, truncated or of the wrong kind
    |-- EngineDied            code "engine-died"      its child process ended
    `-- EngineTimedOut        code "engine-timed-out" it did not answer within its deadline
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
"""Mono audio, int16, shape (n,)."""

RATE = 16_000
"""Samples per second of everything an engine hears."""


class EngineError(Exception):
    """An engine failed; `code` is stable and maps to a spoken sentence."""

    code: ClassVar[str] = "engine-failed"


class EngineUnavailable(EngineError):
    """The engine's package is not installed; the message says which extra brings it."""

    code = "engine-missing"


class ModelUnavailable(EngineError):
    """The model file is missing, truncated or not a model; the message names the file and what to do."""

    code = "model-missing"


class EngineDied(EngineError):
    """The engine's child process ended; the host starts a new one at the next use."""

    code = "engine-died"


class EngineTimedOut(EngineError):
    """The engine did not answer within its deadline and was ended."""

    code = "engine-timed-out"


@dataclass(frozen=True, slots=True)
class WakeScore:
    """A wake word was detected in the frame just processed."""

    word: str
    score: float
    """0..1, as the engine gives it."""
    sure: bool = True
    """Above the threshold at which the detector is right alone; False: enough to ask a second one."""


@dataclass(frozen=True, slots=True)
class WakeVerdict:
    """What a second detector says of a wake word."""

    score: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Word:
    """A word that a recognizer heard."""

    text: str
    confidence: float
    """0..1"""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recognizer believes was said."""

    text: str
    """Lower or mixed case as the engine writes it; empty when it heard nothing or rejected what it decoded."""
    stable: str = ""
    """The leading words of `text` that successive partials agree on; equal to `text` in a final one."""
    confidence: float | None = None
    """0..1; None when the engine has none."""
    words: tuple[Word, ...] = ()
    """The words of a final one, from engines that are more certain of one than of another; else empty."""


@dataclass(frozen=True, slots=True)
class WordTime:
    """When a word of a reply sounds, in samples from its clause's beginning."""

    text: str
    """As it stood in the reply."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Clause:
    """One synthesized clause."""

    text: str
    """The words of the reply that this audio says, as they stood in the reply."""
    pcm: Pcm
    """At the synthesizer's `rate`, leading and trailing silence trimmed to a natural pause."""
    words: tuple[WordTime, ...] = ()
    """One for each word of `text`, at the synthesizer's `rate`; empty when the voice does not know."""


class VoiceDetector(Protocol):
    """Says of each 10 ms frame whether it sounds like speech."""

    def load(self) -> None: ...
    def is_speech(self, frame: Pcm) -> bool:
        """`frame` is exactly 160 samples at 16 kHz."""
        ...


class WakeDetector(Protocol):
    """Listens for one or several wake words."""

    lag: int
    """Samples between a word's end and its usual detection: a request is recognized from `detection - lag`."""

    def load(self) -> None: ...
    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        """Feed exactly 160 samples at 16 kHz; returns each word whose score crossed its threshold just now.

        One spoken word is reported once (refractory period inside), or twice: first as not sure, then as sure.
        """
        ...


class WakeVerifier(Protocol):
    """A second detector, asked about a word that a first one has heard."""

    def load(self) -> None: ...
    def verify(self, word: str, pcm: Pcm) -> WakeVerdict:
        """`pcm` holds 2 s before the detection and 0.4 s after it; slow, for a worker."""
        ...


class Recognizer(Protocol):
    """Speech to text for one utterance at a time: start, feed..., (partial)..., finish or abort."""

    def load(self) -> None: ...
    def start(self, phrases: Sequence[str] = ()) -> None:
        """Begin an utterance; `phrases` are what the dialog expects, for engines that can use them."""
        ...

    def feed(self, pcm: Pcm) -> None:
        """Append audio of any length at 16 kHz; cheap, no decoding here unless the engine streams."""
        ...

    def partial(self) -> Hypothesis: ...
    def finish(self) -> Hypothesis:
        """Close the utterance and return its final text."""
        ...

    def abort(self) -> None:
        """Forget the utterance; also legal when none is open."""
        ...


class Synthesizer(Protocol):
    """Text to speech, clause by clause."""

    def load(self) -> None: ...

    @property
    def rate(self) -> int:
        """Samples per second of the clauses, known after `load()`."""
        ...

    def synthesize(self, text: str) -> Iterator[Clause]:
        """Yield the clauses of `text` in order, each as soon as it is ready; none for text without words."""
        ...

    def cancel(self) -> None:
        """From any thread: the running `synthesize` ends within 50 ms without a further clause. No effect when idle."""
        ...


class EchoCanceller(Protocol):
    """Removes the far end (what the loudspeaker plays) from the near end (what the microphone hears)."""

    def load(self) -> None: ...
    def process(self, near: Pcm, far: Pcm, delay: int) -> Pcm:
        """One 10 ms frame each, 160 samples; `delay` is the samples between far's rendering and near's capture."""
        ...
