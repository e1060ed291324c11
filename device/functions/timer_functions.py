"""Timers: set, cancel, and which ones ring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from device.functions.context import Context, Outcome
from device.functions.contract import Refused
from device.functions.registry import function
from device.functions.schema import Slot
from device.functions.store import Store, Timer
from device.functions.wording import duration as spoken_duration

MOST_TIMERS = 20
_LONGEST_S = 24 * 3600


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
    what = f"{name.strip()} timer" if name.strip() else "Timer"
    value = {"id": id, "duration": duration, "ends": _text(ends)}
    return Outcome(value, f"{what} set for {spoken_duration(duration)}.")


@function(effect=True)
def cancel_timer(
    ctx: Context,
    name: Annotated[str, Field(max_length=60), Slot("Which timer?", description="Only the timers of that name.")] = "",
) -> Outcome:
    """Cancel the timers that run."""
    wanted = name.strip().casefold()
    with ctx.store.transaction() as store:
        found = [timer for timer in store.timers() if not wanted or timer.name.casefold() == wanted]
        if not found:
            raise Refused("no-timer", "No timer is running.")
        for timer in found:
            store.stop_timer(timer.id)
    sentence = "Timer cancelled." if len(found) == 1 else f"{len(found)} timers cancelled."
    return Outcome({"cancelled": [timer.id for timer in found]}, sentence)


def due(store: Store, now: datetime) -> tuple[Timer, ...]:
    """The timers that ring now; each rings until `store.stop_timer`, also after a restart."""
    return tuple(timer for timer in store.timers() if timer.ends <= now)


def ringing_sentence(timer: Timer) -> str:
    """What to say when it rings."""
    what = f"{timer.name} timer" if timer.name else f"timer of {spoken_duration(timer.seconds)}"
    return f"The {what} is over."


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
