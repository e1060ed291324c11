"""What time and what day it is."""

from __future__ import annotations

from device.functions.context import Context, Outcome
from device.functions.registry import function
from device.functions.wording import clock_time, full_date


@function()
def get_time(ctx: Context) -> Outcome:
    """Tell the time of day."""
    now = ctx.dated_now()
    return Outcome({"time": f"{now:%H:%M}"}, f"It's {clock_time(now.time())}.")


@function()
def get_date(ctx: Context) -> Outcome:
    """Tell today's date."""
    today = ctx.dated_now().date()
    return Outcome({"date": today.isoformat(), "weekday": f"{today:%A}"}, f"It's {full_date(today)}.")
