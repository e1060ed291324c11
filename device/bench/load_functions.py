"""The functions that a load calls. Copied as an extension into the measured server's own temporary folder.

Each run leaves a line in the file that $WAKELINE_BENCH_WITNESS names: how often a function ran is counted there, and
not by the record that is to be checked.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

from device.functions import Context, Outcome, function

WITNESS = "WAKELINE_BENCH_WITNESS"
ERA = datetime(2100, 1, 1, tzinfo=UTC)
"""Far behind what anybody books: these lines do not meet the ones that bookAppointment looks at."""
SLOW_S = 0.4
_SLOW_BUDGET_S = 0.1


@function(effect=True)
def record_order(ctx: Context, number: int) -> Outcome:
    """Write a line with its number in the call: the order of the lines is the order in which the effects ran."""
    _witness(ctx)
    now = datetime.now(UTC)
    starts = ERA + timedelta(seconds=number)
    with ctx.store.transaction() as store:
        store.add_appointment(starts, 1, "UTC", name="load", people=number, created=now, call_id=ctx.call_id)
    return Outcome({"number": number}, f"Line {number}.")


@function(effect=True, budget_s=_SLOW_BUDGET_S)
async def slow_thing(ctx: Context, number: int) -> Outcome:
    """Take longer than the caller waits."""
    _witness(ctx)
    await asyncio.sleep(SLOW_S)
    return Outcome({"number": number}, f"Slow {number}.")


def _witness(ctx: Context) -> None:
    path = os.environ.get(WITNESS)
    if path:
        # One short write at the end of a file is whole, whoever else writes there.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{ctx.call_id}\n".encode())
        finally:
            os.close(file)
