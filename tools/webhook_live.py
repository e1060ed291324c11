"""Webhooks while somebody speaks: the ears hear paced recordings on a virtual card, and a load runs beside them.

    python -m tools.webhook_live --rate EVENTS_PER_S [--seconds 180] [--json]

`--rate` is half of what `wakeline bench webhooks` measured on this machine. `wakeline run` is one and the same process
for the web and for the dialog; the sender is another. Requests are spoken one after the other for so long as the load
lasts, then as many without load. Prints samples lost and the response gap of both. Exit status 1 when samples were
lost, an event was lost or doubled, or the gap's p95 grew by more than 1.3.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio.frames import RATE
from device.bench.compare import Verdict, compare, percentile
from device.bench.servers import Place, make_place, wait_for_slow_ones
from tests.live_rig import FOLLOW_UP_MS, Appliance, appliance, spoken
from tests.virtual_card import VirtualCard, virtual_card

REQUESTS = (
    "What time is it?",
    "Set a timer for twenty minutes.",
    "What is the date?",
    "Cancel the timer.",
    "Is tomorrow at noon free?",
)
MOST_GROWTH = 1.3
_SET_UP = ("WAKELINE_CONFIG", "WAKELINE_BENCH_WITNESS", "VAPI_SERVER_SECRET")


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of the spoken requests."""

    asked: int
    answered: int
    samples_lost: int
    gaps_ms: tuple[float, ...]

    def figures(self) -> dict[str, Any]:
        return {
            "asked": self.asked,
            "answered": self.answered,
            "samples_lost": self.samples_lost,
            "gap_p50_ms": round(percentile(self.gaps_ms, 0.5)),
            "gap_p95_ms": round(percentile(self.gaps_ms, 0.95)),
        }


def converse(running: Appliance, card: VirtualCard, go_on: Callable[[int], bool]) -> Heard:
    """Request after request, each answered before the next one."""
    begin = running.mark
    asked = 0
    while go_on(asked):
        mark = running.mark
        # The silence before it is the follow-up window, so that each request needs its wake word.
        card.play(spoken("joe", FOLLOW_UP_MS + 300, "Hey Jarvis.", 700, REQUESTS[asked % len(REQUESTS)]))
        asked += 1
        try:
            running.wait_for("ReplyFinished", after=mark, timeout=15)
        except AssertionError as error:
            print(f"request {asked} was not answered: {str(error).splitlines()[0]}", file=sys.stderr)
    ends = {event["turn"]: event["speech_end"] for event in running.events("UtteranceEnded", after=begin)}
    starts = {event["turn"]: event["at"] for event in reversed(running.events("ReplyStarted", after=begin))}
    gaps = tuple((starts[turn] - ends[turn]) * 1000 / RATE for turn in starts if turn in ends)
    lost = sum(event["count"] for event in running.events("SamplesLost", after=begin))
    return Heard(asked, len(gaps), lost, gaps)


def sender(place: Place, ledger: Path, rate: float, seconds: float) -> subprocess.Popen[bytes]:
    events = round(rate * seconds / 1.2)  # a fifth more are sent again
    command = [sys.executable, "-m", "device.bench.sender", "--port", str(place.port), "--ledger", str(ledger)]
    command += ["--rate", str(rate), "--events", str(events), "--calls", "1000"]
    return subprocess.Popen(command, env=place.environment, cwd=place.folder)


def measure(rate: float, seconds: float, folder: Path) -> tuple[Heard, Heard, Verdict]:
    """With load, without, and what the load's own ledger says."""
    place = make_place(folder / "place")
    ledger = folder / "ledger.jsonl"
    with virtual_card() as card:
        environment = {**card.env, **{name: place.environment[name] for name in _SET_UP}}
        with appliance(folder / "place", environment) as running:
            running.wait_to_hear()
            load = sender(place, ledger, rate, seconds)
            loaded = converse(running, card, lambda _: load.poll() is None)
            if load.returncode:
                raise SystemExit(f"the sender ended with {load.returncode}")
            wait_for_slow_ones(place)
            quiet = converse(running, card, lambda asked: asked < loaded.asked)
            running.end()
    return loaded, quiet, compare(ledger, place.database, place.witness)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.webhook_live", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="webhook-live-") as folder:
        loaded, quiet, verdict = measure(options.rate, options.seconds, Path(folder))
    growth = percentile(loaded.gaps_ms, 0.95) / max(1.0, percentile(quiet.gaps_ms, 0.95))
    web = {
        "requests_per_s": round(verdict.per_s, 1),
        "p99_ms": round(percentile(verdict.fast_ms, 0.99), 1),
        "faults": len(verdict.lost) + len(verdict.duplicated) + len(verdict.disordered) + len(verdict.errors),
    }
    found = {"with_load": loaded.figures(), "without": quiet.figures(), "gap_growth": round(growth, 2), "web": web}
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    print("\n".join(verdict.shown()), file=sys.stderr)
    return 0 if loaded.samples_lost == 0 and verdict.clean and growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    raise SystemExit(main())
