"""The workflow of a dialog: one table from (state, what was heard) to a move. Pure: a talk and an input in, a talk out.

A request opens a form. Its missing slots are asked in order, then it is read back if its function wants that, then it
runs. A request in the middle opens a second form on top; when that one is done the first question is asked again. Two
misunderstandings in a row, two failures of a function, or the wish for a person lead to CONSENTING. A form that the
user or the function turned down waits in CHANGING for another value, one whose function failed waits in FAILED for
another try; both wait there also after an interruption, and nothing runs again of its own accord.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from device.dialog.filling import assigned
from device.dialog.talk import (
    Aside,
    Ask,
    Confirm,
    Escalate,
    Heard,
    Input,
    Open,
    Outcome,
    Person,
    Run,
    Say,
    State,
    Step,
    Talk,
)

MOST_MISSES: Final = 2
MOST_FAILURES: Final = 2
MOST_FORMS: Final = 3

Move = Callable[[Talk, Input], Outcome]


class Ran(Enum):
    """What came of a function, seen by the workflow."""

    DONE = "done"
    REFUSED = "refused"
    """A "no" that another value may turn into a "yes"."""
    FINAL = "final"
    """A "no" to whatever else might be said."""
    BAD_VALUES = "bad-values"
    """Values that do not fit, or one that it cannot do without this time."""
    FAILED = "failed"
    WORKING = "working"
    """It goes on, and its result comes later."""


_CODES: Final = {
    Ran.DONE: "answered",
    Ran.REFUSED: "refused",
    Ran.FINAL: "refused",
    Ran.BAD_VALUES: "refused",
    Ran.FAILED: "error",
    Ran.WORKING: "still-working",
}


def step(talk: Talk, heard: Input) -> Outcome:
    """The move that the table names for this state."""
    return TABLE[talk.state, heard.heard](talk, heard)


def ran(
    talk: Talk, done: Open, result: Ran, bad: frozenset[str] = frozenset(), person: Person | None = None
) -> Outcome:
    """Goes on after a function has run: resumes what waits, or keeps the form open for another value or try.

    `bad` are the slots that did not fit, `person` is who can be offered.
    """
    rest = tuple(form for form in talk.open if form is not done)
    if result is Ran.REFUSED and done.values:
        return Outcome(Talk(State.CHANGING, (*rest, replace(done, halted=State.CHANGING))), (), "refused")
    if result is Ran.BAD_VALUES:
        kept = {name: value for name, value in done.values.items() if name not in bad}
        again = replace(done, values=kept, wanted=done.wanted | bad, halted=None)
        if again.missing is not None:
            return _ahead(Talk(State.ASKING, (*rest, again)), code="refused" if bad & set(done.values) else "asked")
    if result is Ran.FAILED and not rest:
        return _failed(talk, done, person)
    # What changed something is not asked again with another value: that would be a second booking.
    recent = None if done.form.effect else done if done.form.slots else talk.recent
    return _resume(Talk(State.IDLE, rest, recent=recent), code=_CODES[result])


def _failed(talk: Talk, done: Open, person: Person | None) -> Outcome:
    """It may be tried again once; then it is left, and a person is offered."""
    failures = talk.failures + 1
    if failures < MOST_FAILURES:
        halted = replace(done, halted=State.FAILED)
        return Outcome(Talk(State.FAILED, (halted,), recent=talk.recent, failures=failures), (), "error")
    if person is None:
        return Outcome(Talk(recent=talk.recent), (Say("failed_again"),), "error")
    offered = Talk(State.CONSENTING, offer=replace(person, reason="function-failed"), recent=talk.recent)
    return Outcome(offered, (Say("failed_again"), *_prompt(offered)), "error")


# -- moves --------------------------------------------------------------------------------------------------------
def _request(talk: Talk, heard: Input) -> Outcome:
    """Opens a form, or gives the form in hand more values when the same function is asked for."""
    if heard.form is None:
        return _miss(talk, heard)
    waiting = talk.open
    start = Open(heard.form)
    failures = 0
    if waiting and waiting[-1].form.function == heard.form.function:
        start, waiting, failures = replace(waiting[-1], halted=None, wanted=frozenset()), waiting[:-1], talk.failures
    elif talk.state is State.FAILED:
        waiting = waiting[:-1]  # who asks for something else does not want another try
    if heard.carry and not start.values and talk.recent is not None:
        start = replace(start, values={k: v for k, v in talk.recent.values.items() if heard.form.slot(k) is not None})
    filled, _ = assigned(start, heard.said, heard.moment)
    forms = (*waiting, filled)[-MOST_FORMS:]
    return _ahead(Talk(State.ASKING, forms, recent=talk.recent, failures=failures))


def _request_or_run(talk: Talk, heard: Input) -> Outcome:
    """ "Yes, book it" is a yes to what was just read back."""
    same = heard.form is not None and heard.form.function == talk.open[-1].form.function
    return _run(talk, heard) if same and heard.carry and not heard.said else _request(talk, heard)


def _values(talk: Talk, heard: Input) -> Outcome:
    """Fills the form in hand; what does not fit it is a misunderstanding."""
    if not talk.open:
        return TABLE[talk.state, Heard.NOTHING](talk, heard)
    hand = talk.open[-1]
    asked = hand.missing if talk.state is State.ASKING else None
    filled, fits = assigned(hand, heard.said, heard.moment, asked)
    if not fits:
        return TABLE[talk.state, Heard.NOTHING](talk, heard)
    # What the function has asked for may no longer be needed; it says so if it is.
    filled = replace(filled, halted=None, wanted=frozenset())
    return _ahead(replace(talk, state=State.ASKING, open=(*talk.open[:-1], filled), misses=0, offer=None))


def _reopen(talk: Talk, heard: Input) -> Outcome:
    """ "What about eight?" asks the last thing again with another value."""
    if talk.recent is None:
        return _miss(talk, heard)
    filled, fits = assigned(talk.recent, heard.said, heard.moment)
    return _ahead(replace(talk, open=(filled,), misses=0)) if fits else _miss(talk, heard)


def _aside(talk: Talk, heard: Input) -> Outcome:
    talk = replace(talk, misses=0)
    return Outcome(talk, (Aside(), *_prompt(talk)), "answered")


def _run(talk: Talk, heard: Input) -> Outcome:
    return Outcome(replace(talk, state=State.IDLE, misses=0), (Run(talk.open[-1]),))


def _change(talk: Talk, heard: Input) -> Outcome:
    halted = replace(talk.open[-1], halted=State.CHANGING)
    talk = replace(talk, state=State.CHANGING, open=(*talk.open[:-1], halted), misses=0)
    return Outcome(talk, _prompt(talk), "asked")


def _abandon(talk: Talk, heard: Input) -> Outcome:
    """Drops the form in hand and goes back to the one that waits."""
    return _resume(Talk(State.IDLE, talk.open[:-1], recent=talk.recent), Say("abandoned"), code="cancelled")


def _nothing_open(talk: Talk, heard: Input) -> Outcome:
    return Outcome(Talk(), (Say("nothing_open"),), "cancelled")


def _remind(talk: Talk, heard: Input) -> Outcome:
    """Nothing has failed; what we wait for is asked again."""
    talk = replace(talk, misses=0)
    return Outcome(talk, _prompt(talk), "asked")


def _nothing_to_do(talk: Talk, heard: Input) -> Outcome:
    return Outcome(replace(talk, misses=0), (Say("nothing_to_do"),), "answered")


def _person(talk: Talk, heard: Input) -> Outcome:
    if heard.person is None:
        return Outcome(replace(talk, misses=0), (Say("nobody"), *_prompt(talk)), "answered")
    if heard.person.emergency:
        return Outcome(Talk(), (Escalate(heard.person),), "calling")
    talk = replace(talk, state=State.CONSENTING, misses=0, offer=heard.person)
    return Outcome(talk, _prompt(talk), "asked")


def _same_person(talk: Talk, heard: Input) -> Outcome:
    """Naming the person we just offered is a yes."""
    if heard.person and talk.offer and heard.person.destination == talk.offer.destination:
        return _call(talk, heard)
    return _person(talk, heard)


def _call(talk: Talk, heard: Input) -> Outcome:
    if talk.offer is None:
        return _decline(talk, heard)
    return Outcome(Talk(), (Escalate(talk.offer),), "calling")


def _decline(talk: Talk, heard: Input) -> Outcome:
    """No call; what was open before goes on."""
    return _resume(Talk(State.IDLE, talk.open, recent=talk.recent), Say("declined"), code="declined")


def _miss(talk: Talk, heard: Input) -> Outcome:
    """First with other words, then a person is offered."""
    misses = talk.misses + 1
    if misses < MOST_MISSES:
        talk = replace(talk, misses=misses)
        return Outcome(talk, _again(talk), "not-understood")
    if heard.person is None:
        talk = Talk(recent=talk.recent)
        return Outcome(talk, (Say("no_person"),), "not-understood")
    person = replace(heard.person, reason="not-understood")
    talk = replace(talk, state=State.CONSENTING, misses=0, offer=person)
    return Outcome(talk, (Say("not_understood", turn=1), *_prompt(talk)), "not-understood")


def _unclear_consent(talk: Talk, heard: Input) -> Outcome:
    """Silence is no consent: asked once more, then left."""
    if talk.misses == 0:
        return Outcome(replace(talk, misses=1), (Say("consent_again", person=talk.offer),), "not-understood")
    return Outcome(Talk(), (Say("gave_up"),), "declined")


# -- parts of moves -----------------------------------------------------------------------------------------------
def _ahead(talk: Talk, code: str = "asked") -> Outcome:
    """The next thing for the form in hand: ask, read back, or run."""
    hand = talk.open[-1]
    if hand.missing is None and hand.halted is not None:
        talk = replace(talk, state=hand.halted)
        return Outcome(talk, _prompt(talk), code)
    if hand.missing is None and not hand.form.confirm:
        return Outcome(replace(talk, state=State.IDLE), (Run(hand),))
    talk = replace(talk, state=State.CONFIRMING if hand.missing is None else State.ASKING)
    return Outcome(talk, _prompt(talk), code)


def _resume(talk: Talk, *first: Step, code: str) -> Outcome:
    """Back to the form that waits, if any: its question is asked again."""
    if not talk.open:
        return Outcome(talk, first, code)
    after = _ahead(talk)
    return Outcome(after.talk, (*first, *after.steps), code)


def _prompt(talk: Talk) -> tuple[Step, ...]:
    """What the state waits for, asked again."""
    match talk.state, talk.open:
        case State.CONSENTING, _:
            return (Say("offer_person", person=talk.offer),)
        case State.CONFIRMING, (*_, hand):
            return (Confirm(hand),)
        case State.ASKING, (*_, hand) if hand.missing is not None:
            return (Ask(hand.missing),)
        case State.CHANGING, _:
            return (Say("what_to_change"),)
        case State.FAILED, _:
            return (Say("try_again"),)
    return ()


def _again(talk: Talk) -> tuple[Step, ...]:
    """The same in other words."""
    match talk.state, talk.open:
        case State.CONFIRMING, (*_, hand):
            return (Confirm(hand, again=True),)
        case State.ASKING, (*_, hand) if hand.missing is not None:
            return (Ask(hand.missing, again=True),)
        case State.CHANGING, _:
            return (Say("not_understood_answer"), Say("what_to_change"))
        case State.FAILED, _:
            return (Say("not_understood_answer"), Say("try_again"))
    return (Say("not_understood"),)


TABLE: Final[Mapping[tuple[State, Heard], Move]] = {
    (State.IDLE, Heard.REQUEST): _request,
    (State.IDLE, Heard.ASIDE): _aside,
    (State.IDLE, Heard.VALUES): _reopen,
    (State.IDLE, Heard.YES): _nothing_to_do,
    (State.IDLE, Heard.NO): _nothing_open,
    (State.IDLE, Heard.CANCEL): _nothing_open,
    (State.IDLE, Heard.PERSON): _person,
    (State.IDLE, Heard.AGAIN): _nothing_to_do,
    (State.IDLE, Heard.NOTHING): _miss,
    (State.ASKING, Heard.REQUEST): _request,
    (State.ASKING, Heard.ASIDE): _aside,
    (State.ASKING, Heard.VALUES): _values,
    (State.ASKING, Heard.YES): _miss,
    (State.ASKING, Heard.NO): _miss,
    (State.ASKING, Heard.CANCEL): _abandon,
    (State.ASKING, Heard.PERSON): _person,
    (State.ASKING, Heard.AGAIN): _remind,
    (State.ASKING, Heard.NOTHING): _miss,
    (State.CONFIRMING, Heard.REQUEST): _request_or_run,
    (State.CONFIRMING, Heard.ASIDE): _aside,
    (State.CONFIRMING, Heard.VALUES): _values,
    (State.CONFIRMING, Heard.YES): _run,
    (State.CONFIRMING, Heard.NO): _change,
    (State.CONFIRMING, Heard.CANCEL): _abandon,
    (State.CONFIRMING, Heard.PERSON): _person,
    (State.CONFIRMING, Heard.AGAIN): _remind,
    (State.CONFIRMING, Heard.NOTHING): _miss,
    (State.CHANGING, Heard.REQUEST): _request,
    (State.CHANGING, Heard.ASIDE): _aside,
    (State.CHANGING, Heard.VALUES): _values,
    (State.CHANGING, Heard.YES): _miss,
    (State.CHANGING, Heard.NO): _abandon,
    (State.CHANGING, Heard.CANCEL): _abandon,
    (State.CHANGING, Heard.PERSON): _person,
    (State.CHANGING, Heard.AGAIN): _run,
    (State.CHANGING, Heard.NOTHING): _miss,
    (State.FAILED, Heard.REQUEST): _request,
    (State.FAILED, Heard.ASIDE): _aside,
    (State.FAILED, Heard.VALUES): _values,
    (State.FAILED, Heard.YES): _run,
    (State.FAILED, Heard.NO): _abandon,
    (State.FAILED, Heard.CANCEL): _abandon,
    (State.FAILED, Heard.PERSON): _person,
    (State.FAILED, Heard.AGAIN): _run,
    (State.FAILED, Heard.NOTHING): _miss,
    (State.CONSENTING, Heard.REQUEST): _request,
    (State.CONSENTING, Heard.ASIDE): _aside,
    (State.CONSENTING, Heard.VALUES): _values,
    (State.CONSENTING, Heard.YES): _call,
    (State.CONSENTING, Heard.NO): _decline,
    (State.CONSENTING, Heard.CANCEL): _decline,
    (State.CONSENTING, Heard.PERSON): _same_person,
    (State.CONSENTING, Heard.AGAIN): _unclear_consent,
    (State.CONSENTING, Heard.NOTHING): _unclear_consent,
}
