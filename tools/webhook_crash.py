"""Kills the web part with -9 at random moments of a load, starts it again, and counts what was lost or done twice.

    python -m tools.webhook_crash KILLS [--seed N] [--calls N] [--events N]

The sender tries again as the provider does, in this process, which nobody kills; a moment is a number of answered
events and some milliseconds more, from the seed. Exit status 1 when anything was lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from device.bench.compare import Verdict, compare
from device.bench.plan import Shape, plan
from device.bench.sender import Sender, Target, raise_file_limit, write_ledger
from device.bench.servers import Place, make_place, start, wait_for_slow_ones, wait_until_up

PATIENCE_S = 60.0
LONGEST_MORE_S = 0.05
_LOOK_S = 0.001
IN_FLIGHT = 64


@dataclass(slots=True)
class Toll:
    """What the kills cost."""

    verdict: Verdict
    back_s: list[float] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)
    """Requests without an answer at each kill."""


class Killer:
    """The server and the one that takes its place: it has imported everything and waits for its turn."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._server = start(place)
        wait_until_up(place, self._server)
        self._next = start(place, standby=True)

    async def strike(self) -> float:
        """Kill and start again; seconds until it answers."""
        begun = time.monotonic()
        self._server.send_signal(signal.SIGKILL)
        self._server.wait()
        self._server, self._next = self._next, start(self._place, standby=True)
        assert self._server.stdin is not None
        self._server.stdin.write(b"go\n")
        self._server.stdin.flush()
        await asyncio.to_thread(wait_until_up, self._place, self._server)
        return time.monotonic() - begun

    def end(self) -> None:
        self._next.kill()
        self._server.send_signal(signal.SIGTERM)
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()


async def _load_with_kills(place: Place, killer: Killer, shape: Shape, kills: int, ledger: Path) -> Toll:
    dice = random.Random(shape.seed)
    target = Target(place.port, place.secret.encode(), in_flight=IN_FLIGHT, patience_s=PATIENCE_S)
    sender = Sender(target, plan(shape, datetime.now(UTC).date()))
    toll = Toll(Verdict())
    # The last ones must fall before the end: the load is over quickly.
    moments = sorted(dice.sample(range(1, max(kills + 1, shape.events * 9 // 10)), kills))
    sending = asyncio.create_task(sender.run())
    for moment in moments:
        while sender.answered < moment and not sending.done():
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(dice.uniform(0, LONGEST_MORE_S))
        toll.under_way.append(sum(entry.took_ms < 0 for entry in sender.entries.values()))
        toll.back_s.append(await killer.strike())
    write_ledger(ledger, sender, await sending)
    return toll


def run(kills: int, shape: Shape, folder: Path) -> Toll:
    """One load with so many kills."""
    place = make_place(folder / "place")
    ledger = folder / "ledger.jsonl"
    killer = Killer(place)
    try:
        toll = asyncio.run(_load_with_kills(place, killer, shape, kills, ledger))
        wait_for_slow_ones(place)
    finally:
        killer.end()
    toll.verdict = compare(ledger, place.database)
    return toll


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.webhook_crash", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--events", type=int, help="(60 for each kill)")
    options = parser.parse_args(arguments)
    raise_file_limit(options.calls + 1000)
    shape = Shape(options.calls, options.events or 60 * options.kills, options.seed)
    with tempfile.TemporaryDirectory(prefix="webhook-crash-") as folder:
        toll = run(options.kills, shape, Path(folder))
    found = toll.verdict
    print(
        f"{options.kills} kills (seed {options.seed}) during {found.events} events of {options.calls} calls, "
        f"{found.effects} of them effects; {statistics.mean(toll.under_way):.0f} under way at a kill; answering again "
        f"after p50 {statistics.median(toll.back_s):.2f} s, max {max(toll.back_s):.2f} s"
    )
    print("\n".join(found.shown()) or "nothing was lost, nothing done twice")
    return 0 if found.clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
