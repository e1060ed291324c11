"""A talk as bytes and back, for a conversation that goes on in another process. Owns that format."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from device.dialog.forms import Forms
from device.dialog.talk import Open, Person, State, Talk

VERSION = 1


class KeptForm(msgspec.Struct, frozen=True):
    """An open form; what its function is like is looked up anew."""

    function: str
    values: dict[str, Any]
    half: str = ""
    wanted: frozenset[str] = frozenset()
    halted: State | None = None


class KeptTalk(msgspec.Struct, frozen=True):
    """Everything that the next turn needs to know."""

    version: int
    last: datetime
    """Of the last turn: a talk is forgotten some time after it."""
    state: State
    open: tuple[KeptForm, ...] = ()
    misses: int = 0
    failures: int = 0
    offer: Person | None = None
    recent: KeptForm | None = None
    heard: str = ""
    """What "say that again" repeats."""


def frozen(talk: Talk, last: datetime, heard: str) -> bytes:
    """The talk as JSON."""
    return msgspec.json.encode(
        KeptTalk(
            version=VERSION,
            last=last,
            state=talk.state,
            open=tuple(_kept(form) for form in talk.open),
            misses=talk.misses,
            failures=talk.failures,
            offer=talk.offer,
            recent=_kept(talk.recent) if talk.recent else None,
            heard=heard,
        )
    )


def thawed(data: bytes, forms: Forms) -> tuple[Talk, datetime, str] | None:
    """The talk, when its last turn was, and what was heard of it.

    None when there is nothing to go on with: another version wrote it, or one of its functions is gone.
    """
    try:
        kept = msgspec.json.decode(data, type=KeptTalk)
    except msgspec.DecodeError:
        return None
    if kept.version != VERSION or kept.last.tzinfo is None:
        return None
    opened = [_open(form, forms) for form in kept.open]
    if None in opened:
        return None
    talk = Talk(
        state=kept.state,
        open=tuple(form for form in opened if form is not None),
        misses=kept.misses,
        failures=kept.failures,
        offer=kept.offer,
        recent=_open(kept.recent, forms) if kept.recent else None,
    )
    needs_form = talk.state in (State.ASKING, State.CONFIRMING, State.CHANGING, State.FAILED)
    return None if needs_form and not talk.open else (talk, kept.last, kept.heard)


def _kept(form: Open) -> KeptForm:
    return KeptForm(form.form.function, dict(form.values), form.half, form.wanted, form.halted)


def _open(kept: KeptForm, forms: Forms) -> Open | None:
    form = forms.get(kept.function)
    if form is None:
        return None
    values = {name: value for name, value in kept.values.items() if form.slot(name) is not None}
    return Open(form, values, kept.half, kept.wanted, kept.halted)
