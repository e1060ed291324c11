"""Timers: set, cancel, how long is left, and which ones ring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from device.functions.context import Context, Outcome
from device.functions.contract import BadArguments, Problem, Refused
from device.functions.registry import function
from device.functions.schema import Slot
from device.functions.store import Store, Timer
from device.functions.wording import duration as spoken_duration
from device.functions.wording import listed

MOST_TIMERS = 20
_LONGEST_S = 24 * 3600
_MOST_TOLD = 3


@function(effect=True)
def set_timer(
    ctx: Context,
    duration: Annotated[
        int,
        Field(ge=1, le=_LONGEST_S),
        Slot("For how long?", "Sorry, how many minutes?", kind="duration", description="Seconds until it rings."),
    ],
    name: Annotated[str, Field(max_length=60), Slot("What is it for?", description="What the timer is for.")] = "",
) -> Outcome:
    """Set a timer that rings after a while."""
    now = ctx.clock().astimezone(UTC)
    ends = now + timedelta(seconds=duration)
    with ctx.store.transaction() as store:
        if len(store.timers()) >= MOST_TIMERS:
            raise Refused("too-many-timers", "There are too many timers already. Cancel one first.")
        id = store.add_timer(name.strip(), duration, ends, now)
    what = _capital(f"{name.strip()} timer") if name.strip() else "Timer"
    value = {"id": id, "duration": duration, "ends": _text(ends)}
    return Outcome(value, f"{what} set for {spoken_duration(duration)}.")


Name = Annotated[str, Field(max_length=60), Slot("Which timer?", description="Only the timer of that name.")]
Length = Annotated[
    int | None,
    Field(ge=1, le=_LONGEST_S),
    Slot("Which timer?", kind="duration", description="Only the timer that was set for so many seconds."),
]


@function(effect=True)
def cancel_timer(
    ctx: Context,
    name: Name = "",
    duration: Length = None,
    every: Annotated[bool, Slot("All of them?", description="All timers at once.")] = False,
) -> Outcome:
    """Cancel a timer."""
    with ctx.store.transaction() as store:
        found = _found(store.timers(), name, duration)
        if len(found) > 1 and not every:
            problem = Problem("name", "the name of one of them, or every", "nothing")
            raise BadArguments((problem,), sentence=f"There are {_several(found)}.")
        for timer in found:
            store.stop_timer(timer.id)
    what = f"{found[0].name} timer" if len(found) == 1 and found[0].name else "Timer"
    sentence = f"{_capital(what)} cancelled." if len(found) == 1 else f"{len(found)} timers cancelled."
    return Outcome({"cancelled": [timer.id for timer in found]}, sentence)


@function()
def check_timer(ctx: Context, name: Name = "", duration: Length = None) -> Outcome:
    """Say how long a timer, or each of them, has still to run."""
    now = ctx.clock().astimezone(UTC)
    with ctx.store.reading() as store:
        found = _found(store.timers(), name, duration)
    left = [max(0, round((timer.ends - now).total_seconds())) for timer in found]
    value = {
        "timers": [
            {"id": timer.id, "name": timer.name, "secondsLeft": seconds, "ends": _text(timer.ends)}
            for timer, seconds in zip(found, left, strict=True)
        ]
    }
    if len(found) == 1:
        whose = f" on the {found[0].name} timer" if found[0].name else ""
        return Outcome(value, f"{_capital(spoken_duration(left[0]))} left{whose}.")
    said = [f"{spoken_duration(s)} on the {_called(timer)}" for timer, s in zip(found, left, strict=True)][:_MOST_TOLD]
    return Outcome(value, f"{_capital(listed(said, 'and'))}.")


def _found(timers: list[Timer], name: str, seconds: int | None) -> list[Timer]:
    """Those that are meant, the next one first; never none."""
    wanted = name.strip().casefold().removesuffix(" timer")
    found = [
        timer
        for timer in timers
        if (not wanted or timer.name.casefold() == wanted) and (seconds is None or timer.seconds == seconds)
    ]
    if not found:
        raise Refused("no-timer", "There is no such timer." if timers else "No timer is running.")
    return found


def _several(timers: list[Timer]) -> str:
    told = [f"the {_called(timer)}" for timer in timers[:_MOST_TOLD]]
    return f"{len(timers)} timers: {listed(told, 'and')}"


def _called(timer: Timer) -> str:
    return f"{timer.name} timer" if timer.name else f"timer of {spoken_duration(timer.seconds)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def due(store: Store, now: datetime) -> tuple[Timer, ...]:
    """The timers that ring now; each rings until `store.stop_timer`, also after a restart."""
    return tuple(timer for timer in store.timers() if timer.ends <= now)


def ringing_sentence(timer: Timer) -> str:
    """What to say when it rings."""
    return f"The {_called(timer)} is over."


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
