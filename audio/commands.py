"""The wishes of the loop: one closed union of frozen values that leave the core and come back as events.

`worker` says which worker does the work: the live shell and the offline shell both dispatch by it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from audio.frames import TurnId

Worker = Literal["stt", "tts", "wake", "app"]


class Wish(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Empty base of every command; do not subclass a command itself."""

    worker: ClassVar[Worker]
    turn: TurnId


class StartRecognition(Wish, frozen=True, tag=True):
    worker = "stt"
    phrases: tuple[str, ...] = ()


class FeedRecognition(Wish, frozen=True, tag=True):
    worker = "stt"
    pcm: bytes
    """int16 at 16 kHz, in order, without gaps."""


class DecodePartial(Wish, frozen=True, tag=True):
    """Overtaken by a later one or by `FinishRecognition`; skipped when the worker is late."""

    worker = "stt"


class FinishRecognition(Wish, frozen=True, tag=True):
    """Answered by `FinalText`, always: also when the engine failed."""

    worker = "stt"


class AbortRecognition(Wish, frozen=True, tag=True):
    worker = "stt"


class ConfirmWake(Wish, frozen=True, tag=True):
    """Is it the wake word? Answered by `WakeJudged`, or by `EngineFailed`."""

    worker = "wake"
    word: str
    pcm: bytes
    """int16 at 16 kHz: the word with what was heard before and after it."""


class Synthesize(Wish, frozen=True, tag=True):
    """Answered by `ClauseSynthesized`... and `SynthesisFinished`, or by `EngineFailed`."""

    worker = "tts"
    text: str


class CancelSynthesis(Wish, frozen=True, tag=True):
    worker = "tts"


class Answer(Wish, frozen=True, tag=True):
    """The user said this; answered by `ReplyDecided` with the same turn."""

    worker = "app"
    text: str
    """Empty when something was said and not understood by the recognizer."""
    confidence: float | None = None


class Abandon(Wish, frozen=True, tag=True):
    """The turn is over before its answer; work on it may stop (effects under way are finished)."""

    worker = "app"


Command = (
    StartRecognition
    | FeedRecognition
    | DecodePartial
    | FinishRecognition
    | AbortRecognition
    | ConfirmWake
    | Synthesize
    | CancelSynthesis
    | Answer
    | Abandon
)
