"""The values of the function contract: a call, its result, its errors. Names are as the caller sees them (camelCase).

FunctionError                 code "function-failed"       the function raised; the message is for the log
|-- UnknownFunction           code "function-unknown"
|-- WrongOrigin               code "function-forbidden"    not allowed from where the call came
|-- BadArguments              code "arguments-invalid"     `problems` names each field and what is expected
|   `-- ArgumentsTooLarge     code "arguments-too-large"   nobody could say so much
|-- Refused                   code chosen by the function  a "no" in a sentence: taken, closed, in the past
|-- FunctionTimedOut          code "function-timed-out"    its time limit is over, and it was given up
|-- StillWorking              code "still-working"         its time budget is over, and it goes on; `handle` finds it
|-- IdReused                  code "id-reused"             the id belongs to another call
|-- BackendFailed             code "backend-failed"        the HTTP backend did not do it
|   `-- BackendUnavailable    code "backend-unavailable"   ... and is not asked for a while
`-- StoreFailed               code "store-failed"          the database is locked, full, read-only or corrupt
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["voice", "text", "call", "web", "staff"]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A wish to run a function."""

    id: str
    """Idempotency key: the same id again returns the recorded result and runs nothing."""
    name: str
    """As the caller sees it, alias included."""
    arguments: Mapping[str, Any]
    """JSON values, unchecked."""
    origin: Origin
    session: str = ""
    """Effects of one session keep their order (a dialog session, a phone call)."""


@dataclass(frozen=True, slots=True)
class FunctionResult:
    """What came of a call: exactly one of `value` and `error` is set."""

    id: str
    value: Mapping[str, Any] | None = None
    """JSON object."""
    error: FunctionError | None = None
    sentence: str = ""
    """What to say aloud; always set for an error."""
    replayed: bool = False
    """True when the id was known and nothing ran."""


@dataclass(frozen=True, slots=True)
class LateResult:
    """The result of a call that was answered "still working"; to be told to whoever asked."""

    call: FunctionCall
    result: FunctionResult


@dataclass(frozen=True, slots=True)
class Problem:
    """One argument that does not fit."""

    field: str
    expected: str
    got: str


class FunctionError(Exception):
    """A function could not do what was asked; `code` is stable, `sentence` can be spoken."""

    code = "function-failed"
    sentence = "Sorry, that did not work. Please try again in 30 seconds."

    def __init__(self, message: str = "", *, sentence: str = "") -> None:
        super().__init__(message or sentence)
        if sentence:
            self.sentence = sentence


class UnknownFunction(FunctionError):
    code = "function-unknown"
    sentence = "I don't know how to do that."


class WrongOrigin(FunctionError):
    code = "function-forbidden"
    sentence = "That can't be done from here."


class BadArguments(FunctionError):
    code = "arguments-invalid"
    sentence = "Some of that I did not understand."

    def __init__(self, problems: tuple[Problem, ...], *, sentence: str = "") -> None:
        what = "; ".join(f"{p.field}: expected {p.expected}, got {p.got}" for p in problems)
        super().__init__(what, sentence=sentence)
        self.problems = problems


class ArgumentsTooLarge(BadArguments):
    code = "arguments-too-large"
    sentence = "That is more than I can take in."


class Refused(FunctionError):
    """The function's own, final "no", with a stable code of its own."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}", sentence=sentence)
        self.code = code


class FunctionTimedOut(FunctionError):
    code = "function-timed-out"
    sentence = "That takes longer than it should. Please try again in 30 seconds."


class StillWorking(FunctionError):
    """Not an end: the call is recorded, goes on, and its result comes as a `LateResult`."""

    code = "still-working"
    sentence = "I'm still working on that. I'll tell you as soon as it is done."

    def __init__(self, handle: str) -> None:
        super().__init__(f"{handle} goes on")
        self.handle = handle


class IdReused(FunctionError):
    code = "id-reused"
    sentence = "Sorry, that got mixed up. Please ask again."


class BackendFailed(FunctionError):
    code = "backend-failed"
    sentence = "Sorry, I can't reach the booking system. Please try again in 30 seconds."


class BackendUnavailable(BackendFailed):
    code = "backend-unavailable"


class StoreFailed(FunctionError):
    code = "store-failed"
    sentence = "Sorry, I can't reach my book right now."
