"""What an understood sentence is for the workflow: a request, values, a yes, a wish for a person."""

from __future__ import annotations

from collections.abc import Sequence

from device.dialog.forms import Forms, Slot
from device.dialog.sentences import Understood
from device.dialog.settings import Callee
from device.dialog.slots import Moment
from device.dialog.talk import Heard, Input, Person, State, Talk

_HEARD = {
    "yes": Heard.YES,
    "no": Heard.NO,
    "cancel": Heard.CANCEL,
    "stop": Heard.CANCEL,
    "tryAgain": Heard.AGAIN,
    "callPerson": Heard.PERSON,
}
VALUES = frozenset(("giveValues", "giveName"))
_ASIDES = frozenset(("help", "repeat", "thanks", "greeting"))


def meant(found: Understood | None, talk: Talk, moment: Moment, forms: Forms, callees: Sequence[Callee]) -> Input:
    """The workflow's input; `found` is None when nothing was understood."""
    if found is None:
        return Input(Heard.NOTHING, moment, person=anybody(callees))
    named = next((value for name, value in found.said if name == "destination"), None)
    callee = next((c for c in callees if c.name == named), None)
    if found.intent in ("yes", "no") and (slot := asked_slot(talk)) and slot.kind == "boolean":
        return Input(Heard.VALUES, moment, ((slot.name, found.intent),))
    heard = Heard.REQUEST
    if found.intent in VALUES:
        heard = Heard.VALUES
    elif found.intent in _ASIDES:
        heard = Heard.ASIDE
    return Input(
        heard=_HEARD.get(found.intent, heard),
        moment=moment,
        said=found.said,
        form=forms.get(found.intent),
        carry=found.carry,
        person=_person(callee) if callee else anybody(callees),
    )


def asked_slot(talk: Talk) -> Slot | None:
    """The slot whose question was the last thing we said."""
    return talk.open[-1].missing if talk.state is State.ASKING and talk.open else None


def stranger(found: Understood | None) -> str:
    """Somebody to call whom we do not know."""
    return next((str(value) for name, value in found.said if name == "who"), "") if found else ""


def anybody(callees: Sequence[Callee]) -> Person | None:
    """The first one who is not for emergencies only: those are never guessed."""
    return next((_person(callee) for callee in callees if not callee.emergency), None)


def _person(callee: Callee) -> Person:
    return Person(callee.name, "emergency" if callee.emergency else "asked-for", callee.emergency)
