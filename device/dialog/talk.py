"""The values of the workflow: what was heard, where a talk stands, what is to be done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from device.dialog.forms import Form, Slot
from device.dialog.sentences import Said
from device.dialog.slots import Moment


class State(Enum):
    """Where a talk stands: what the last thing we said was for."""

    IDLE = "idle"
    ASKING = "asking"
    """A slot was asked for."""
    CONFIRMING = "confirming"
    """A yes or no to a complete form was asked for."""
    CHANGING = "changing"
    """The form is complete and was turned down, by the user or the function: any value may come."""
    FAILED = "failed"
    """The function of a complete form did not work: a yes tries it once more."""
    CONSENTING = "consenting"
    """A yes or no to calling a person was asked for."""


class Heard(Enum):
    """What a text is, seen by the workflow."""

    REQUEST = "request"
    ASIDE = "aside"
    """Answered by the dialog itself, with nothing to fill in: help, repeat, thanks."""
    VALUES = "values"
    YES = "yes"
    NO = "no"
    CANCEL = "cancel"
    AGAIN = "again"
    """Try once more."""
    PERSON = "person"
    NOTHING = "nothing"
    """Not understood."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be called, and why."""

    destination: str
    reason: str
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """One thing heard."""

    heard: Heard
    moment: Moment
    said: Said = ()
    form: Form | None = None
    carry: bool = False
    person: Person | None = None
    """Who was asked for, or who could be offered; None when nobody can be called."""


@dataclass(frozen=True, slots=True)
class Open:
    """A form that is being filled in."""

    form: Form
    values: Mapping[str, Any] = field(default_factory=dict)
    half: str = ""
    """Half of the day that was named with the date."""
    wanted: frozenset[str] = frozenset()
    """Optional slots that the function has asked for."""
    halted: State | None = None
    """CHANGING or FAILED: complete, and not to be run again as it is unless the user says so."""

    @property
    def missing(self) -> Slot | None:
        return self.form.missing(self.values, self.wanted)


@dataclass(frozen=True, slots=True)
class Talk:
    """Everything a dialog remembers of one session."""

    state: State = State.IDLE
    open: tuple[Open, ...] = ()
    """The form in hand is the last one; the others wait to be resumed."""
    misses: int = 0
    """Misunderstandings in a row."""
    failures: int = 0
    """Failures of the same function in a row."""
    offer: Person | None = None
    recent: Open | None = None
    """What was looked up last, for "what about eight?" and "book it"."""


# -- what is to be done, in order ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Say:
    """A sentence of the wording."""

    key: str
    turn: int = 0
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for a slot; `again` with other words."""

    slot: Slot
    again: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """Read a complete form back and ask whether it is right."""

    open: Open
    again: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Call the function of a complete form; then go on with `workflow.ran`."""

    open: Open


@dataclass(frozen=True, slots=True)
class Aside:
    """Answer what needs no form."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """Call a person."""

    person: Person


Step = Say | Ask | Confirm | Run | Aside | Escalate


@dataclass(frozen=True, slots=True)
class Outcome:
    """The talk afterwards, and what to do."""

    talk: Talk
    steps: tuple[Step, ...] = ()
    code: str = "answered"
