"""What became of an escalation: its value, its log code and the sentence that is spoken."""

from __future__ import annotations

from dataclasses import dataclass

from device.calls.link import Cause, Destination, LinkError, LinkNotReady, LinkRefused, LinkUncertain
from device.calls.policy import CallRefusal, spoken_name
from device.calls.practice import NAME as PRACTICE

UNCERTAIN = "I asked for the call but don't know whether it was placed. I won't try again."
_HELP = " Please get help another way."
_REHEARSED = "This was a practice call, nobody was rung. "


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an escalation ended. Exactly one per attempt."""

    call: str
    """Our id of the attempt; empty when none was made."""
    destination: str
    link: str
    cause: Cause
    code: str
    """Stable, for the log: "call-completed", "link-refused-402", "link-uncertain"."""
    sentence: str
    answered: bool = False
    detail: str = ""
    """The vendor's own word, without numbers or secrets."""


def refused_by_policy(destination: Destination, refusal: CallRefusal) -> Outcome:
    return Outcome("", destination.name, destination.link, Cause.REFUSED, refusal.code, refusal.sentence)


def not_recorded(call: str, destination: Destination, code: str) -> Outcome:
    """The store could not keep the attempt, so it was not made."""
    who = spoken_name(destination)
    sentence = _worded(destination, f"I can't call {who}, because I can't keep a record of it.", answered=False)
    return Outcome(call, destination.name, destination.link, Cause.FAILED, code, sentence)


def not_placed(call: str, destination: Destination, error: LinkError) -> Outcome:
    """The link raised instead of placing the call."""
    code, cause = error.code, Cause.FAILED
    if isinstance(error, LinkRefused):
        code, cause = f"{error.code}-{error.status}", Cause.REFUSED
    elif isinstance(error, LinkUncertain):
        cause = Cause.UNKNOWN
    sentence = _worded(destination, _error_sentence(destination, error), answered=False)
    return Outcome(call, destination.name, destination.link, cause, code, sentence, detail=str(error))


def ended(call: str, destination: Destination, cause: Cause, *, answered: bool, detail: str, code: str = "") -> Outcome:
    """The call existed and is over, or was lost sight of (`code` says so)."""
    code = code or f"call-{cause}"
    sentence = _worded(destination, _cause_sentence(destination, cause, answered, code), answered)
    return Outcome(call, destination.name, destination.link, cause, code, sentence, answered, detail)


def _worded(destination: Destination, sentence: str, answered: bool) -> str:
    """Rehearsals say so; after an emergency call that nobody took, the user must not wait for help."""
    if destination.emergency and not answered:
        sentence += _HELP
    return _REHEARSED + sentence if destination.link == PRACTICE else sentence


def _error_sentence(destination: Destination, error: LinkError) -> str:
    who = spoken_name(destination)
    if isinstance(error, LinkUncertain):
        return UNCERTAIN
    if isinstance(error, LinkNotReady):
        return f"I can't call {who}, because calls are not set up yet."
    if not isinstance(error, LinkRefused):
        return f"I couldn't reach the call service, so {who} was not called."
    if error.status in (401, 403):
        return f"I can't call {who}: the call service does not accept our account."
    if error.status == 402:
        return f"I can't call {who}: our account at the call service has run out of credit."
    if error.status == 404:
        return f"I can't call {who}: the call service doesn't know our number or assistant."
    if error.status == 429:
        return f"I can't call {who} right now: the call service has too many calls. Please try again in a minute."
    return f"I can't call {who}: the call service refused the call."


def _cause_sentence(destination: Destination, cause: Cause, answered: bool, code: str) -> str:
    who = spoken_name(destination)
    subject = who[:1].upper() + who[1:]
    if code == "call-out-of-sight":
        return f"I called {who}, but I can no longer see what became of the call."
    if code == "call-not-hung-up":
        return f"I couldn't end the call to {who}. It may still be going on."
    if answered:
        return f"{subject} answered. The call has ended."
    return {
        Cause.COMPLETED: f"The call to {who} has ended.",
        Cause.BUSY: f"The line to {who} is busy.",
        Cause.NO_ANSWER: f"{subject} did not answer.",
        Cause.REFUSED: f"The call service refused the call to {who}.",
        Cause.CANCELLED: f"I ended the call to {who}.",
        Cause.FAILED: f"The call to {who} did not get through.",
        Cause.UNKNOWN: f"The call to {who} is over, and I don't know whether it was answered.",
    }[cause]
