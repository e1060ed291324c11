"""Kills the ears at random moments of the demo visit, played over and over on a virtual card, and counts what was lost.

    python -m tools.crash KILLS [--seed N]

Each round is a line of the visit - a booking at an hour of its own, or a timer - with one kill at a random moment
between the wake word and the end of the answer. Prints how long it took to listen again, and whether
every booking that the store had committed was spoken, in full and once. Exit status 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.live_rig import Appliance, appliance, spoken
from tests.virtual_card import VirtualCard, virtual_card, wait_until

MOST_S = 5.0
_DAYS = ("tomorrow", "on Friday", "on Saturday", "on Sunday", "on Monday")
_HOURS = ("noon", "three p.m.", "five p.m.", "seven p.m.", "eight p.m.")
LONGEST_MS = 8000
"""From the first word of the request to the last of the answer."""


@dataclass
class Toll:
    """What the kills cost."""

    recovery_s: list[float] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def strike_once(running: Appliance, card: VirtualCard, text: str, dice: random.Random, toll: Toll) -> None:
    """Ask, kill at a random moment of it, wait until it listens, see what became of the request."""
    booked = len(running.appointments())
    mark = running.mark
    at = time.monotonic() + dice.uniform(0, LONGEST_MS) / 1000
    talking = card.play(spoken(dice.choice(("joe", "hibari")), "Hey Jarvis.", 700, text), wait=False)
    wait_until(lambda: time.monotonic() >= at, LONGEST_MS / 1000 + 1, "the moment has come")
    last = running.events(after=mark)
    toll.moments.append(last[-1]["type"] if last else "nothing yet")
    before = running.mark
    number = dice.choice((signal.SIGKILL, signal.SIGSEGV))
    toll.recovery_s.append(running.recovered(running.strike(number), before))
    talking.wait(20)
    settle(running, card, before)
    now = len(running.appointments())
    print(
        f"{len(toll.recovery_s):3}  {signal.Signals(number).name} after {toll.moments[-1]}: listening again after "
        f"{toll.recovery_s[-1]:.2f} s, {text!r} {'booked' if now > booked else ''}",
        flush=True,
    )


def settle(running: Appliance, card: VirtualCard, after: int) -> None:
    """What was committed is told; a timer that was set rings until the visitor stops it."""
    wait_until(lambda: running.unheard() == [], 30, "what was committed is told")
    for attempt in range(3):
        if not running.timers():
            return
        running.wait_for("AlertRaised", after=after)
        mark = running.mark
        running.wait_for("ReplyFinished", after=0 if attempt else after, where=lambda e: e["reply"].startswith("timer"))
        card.play(spoken("joe", "Stop."))
        with contextlib.suppress(AssertionError):
            running.wait_for("AlertCleared", after=mark, timeout=6)
    assert not running.timers(), "a timer rang and could not be stopped"


def judge(running: Appliance, toll: Toll) -> tuple[int, int]:
    """Every booking is there once and was told once; returns how many there are and how many were told."""
    appointments = running.appointments()
    starts = [entry.starts for entry in appointments]
    if len(set(starts)) != len(starts):
        toll.faults.append(f"booked twice: {starts}")
    finished = [e for e in running.events("ReplyFinished") if "booked" in e["heard"].lower()]
    told = [entry["reply"].split(":")[0] for entry in finished]
    for entry in appointments:
        count = told.count(entry.call_id.split(":")[0])
        if count != 1:
            toll.faults.append(f"{entry.starts:%A %H:%M} ({entry.call_id}) was told {count} times")
    if running.unheard():
        toll.faults.append(f"never told: {running.unheard()}")
    toll.faults += [f"slow: {took:.1f} s" for took in toll.recovery_s if took > MOST_S]
    if running.process.poll() is not None:
        toll.faults.append(f"the app ended with {running.process.poll()}")
    return len(appointments), len(told)


def run(kills: int, seed: int, folder: Path) -> int:
    dice = random.Random(seed)
    requests = [f"Book an appointment {day} at {hour}" for day in _DAYS for hour in _HOURS]
    requests += ["Set a timer for ten seconds."] * (len(requests) // 4)
    dice.shuffle(requests)
    toll = Toll()
    with virtual_card() as card, appliance(folder, card.env) as running:
        running.wait_to_hear()
        pid = running.process.pid
        for number in range(kills):
            strike_once(running, card, requests[number % len(requests)], dice, toll)
        booked, told = judge(running, toll)
        assert running.process.pid == pid
    print(
        f"{kills} kills (seed {seed}): listening again after p50 {statistics.median(toll.recovery_s):.2f} s, "
        f"max {max(toll.recovery_s):.2f} s; {booked} bookings in the book, {told} told; app never restarted"
    )
    print("\n".join(toll.faults) or "nothing was lost")
    return 1 if toll.faults else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.crash", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        return run(options.kills, options.seed, Path(folder) / "appliance")


if __name__ == "__main__":
    raise SystemExit(main())
