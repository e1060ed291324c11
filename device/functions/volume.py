"""How loud the appliance speaks: set it, louder, quieter."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from device.functions.context import Context, Outcome
from device.functions.contract import Origin, Refused
from device.functions.registry import function
from device.functions.schema import Slot

LOUDEST: Final = 10
"""As loud as the configuration allows."""
QUIETEST: Final = 1
STEP_DB: Final = 3.0
_AT_HOME: Final[tuple[Origin, ...]] = ("voice", "text", "staff")
"""Nobody on the phone turns it up in the room."""


def gain_db(level: int) -> float:
    """Of everything that is played, beside the configuration's own."""
    return (level - LOUDEST) * STEP_DB


@function(effect=True, origins=_AT_HOME)
def set_volume(
    ctx: Context,
    level: Annotated[
        int,
        Field(ge=QUIETEST, le=LOUDEST),
        Slot("How loud, from one to ten?", "Sorry, a number from one to ten?", description="1 (quiet) to 10 (loud)."),
    ],
) -> Outcome:
    """Set how loud the appliance speaks."""
    return _set(ctx, level)


@function(effect=True, origins=_AT_HOME)
def louder(ctx: Context) -> Outcome:
    """Speak louder."""
    level = _level(ctx)
    if level >= LOUDEST:
        raise Refused("volume-limit", "That is as loud as I go.")
    return _set(ctx, level + 1)


@function(effect=True, origins=_AT_HOME)
def quieter(ctx: Context) -> Outcome:
    """Speak quieter."""
    level = _level(ctx)
    if level <= QUIETEST:
        raise Refused("volume-limit", "That is as quiet as I go.")
    return _set(ctx, level - 1)


def _level(ctx: Context) -> int:
    with ctx.store.reading() as store:
        return store.setting("volume", LOUDEST)


def _set(ctx: Context, level: int) -> Outcome:
    with ctx.store.transaction() as store:
        store.set_setting("volume", level)
    return Outcome({"level": level}, f"Volume {level}.")
