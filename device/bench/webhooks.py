"""`wakeline bench webhooks`: the same load on wakeline's web part and on a bare endpoint.

What is measured is loopback without TLS: the server, one process, and the sender share this machine.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.bench.compare import Verdict, compare, percentile
from device.bench.servers import Place, make_place, run_sender, server, wait_for_slow_ones

BARE = "device.bench.bare"


@dataclass(frozen=True, slots=True)
class Load:
    """What the user may choose."""

    calls: int = 1000
    events: int = 20_000
    seed: int = 11
    in_flight: int = 64

    def options(self, events: int, *, effects: bool = True) -> tuple[str, ...]:
        shares = () if effects else ("--effects", "0", "--slow", "0")
        sizes = ("--calls", self.calls, "--events", events, "--seed", self.seed, "--in-flight", self.in_flight)
        return (*map(str, sizes), *shares)


@dataclass(slots=True)
class Figures:
    """The result; `faults` are lines for a person."""

    values: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.faults


def measure(load: Load) -> Figures:
    """Four runs: ours and bare, with effects and without. Progress goes to stderr."""
    with tempfile.TemporaryDirectory(prefix="wakeline-bench-") as folder:
        full = _ours(Path(folder) / "full", load, load.events, effects=True)
        bare = _bare(Path(folder) / "bare", load, load.events, effects=True)
        half = max(load.calls, load.events // 2)
        light = _ours(Path(folder) / "light", load, half, effects=False)
        bare_light = _bare(Path(folder) / "bare-light", load, half, effects=False)
    return Figures(_values(load, full, bare, light, bare_light), [*full.shown(), *light.shown()])


def _ours(folder: Path, load: Load, events: int, *, effects: bool) -> Verdict:
    _say(f"wakeline, {'with' if effects else 'without'} effects")
    place = make_place(folder)
    ledger = folder / "ledger.jsonl"
    with server(place):
        run_sender(place, ledger, *load.options(events, effects=effects))
        wait_for_slow_ones(place)
    return compare(ledger, place.database, place.witness)


def _bare(folder: Path, load: Load, events: int, *, effects: bool) -> Verdict:
    _say(f"the bare endpoint, the load {'with' if effects else 'without'} effects")
    place: Place = make_place(folder)
    ledger = folder / "ledger.jsonl"
    with server(place, BARE):
        run_sender(place, ledger, *load.options(events, effects=effects))
    return compare(ledger, None)


def _values(load: Load, full: Verdict, bare: Verdict, light: Verdict, bare_light: Verdict) -> dict[str, Any]:
    return {
        "calls": load.calls,
        "events": full.events,
        "requests": full.requests,
        "effects": full.effects,
        "in_flight": load.in_flight,
        "seed": load.seed,
        "lost": len(full.lost) + len(light.lost),
        "duplicated": len(full.duplicated) + len(light.duplicated),
        "disordered": len(full.disordered),
        "errors": len(full.errors) + len(light.errors),
        "p50_ms": round(percentile(full.fast_ms, 0.5), 2),
        "p99_ms": round(percentile(full.fast_ms, 0.99), 2),
        "max_ms": round(max(full.fast_ms, default=0.0), 2),
        "slow_p99_ms": round(percentile(full.slow_ms, 0.99), 2),
        "events_per_s": round(full.per_s, 1),
        "bare_events_per_s": round(bare.per_s, 1),
        "ratio": _ratio(full, bare),
        "events_per_s_without_effects": round(light.per_s, 1),
        "ratio_without_effects": _ratio(light, bare_light),
    }


def _ratio(ours: Verdict, bare: Verdict) -> float:
    return round(ours.per_s / bare.per_s, 3) if bare.per_s else 0.0


def _say(what: str) -> None:
    print(what, file=sys.stderr)
