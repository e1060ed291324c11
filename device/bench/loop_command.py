"""The arguments of `wakeline bench loop`, and how its figures are shown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from device.bench.options import PARTS, Options
from device.config import Config


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`bench loop`."""
    parser = sub.add_parser(
        "loop",
        help="the whole local loop: gaps, noisy rooms, pauses, wake word, idle cost, memory",
        description="Made-up requests by two voices through the whole appliance offline, on one core, each figure "
        "beside its reference. Takes some minutes; docs/bench.md says what the figures mean.",
    )
    defaults = Options()
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--slowdown", type=_factor, default=1.0, metavar="K", help="a computer K times slower")
    parser.add_argument("--tts", choices=("piper", "hibari"), default=defaults.tts, help="the appliance's own voice")
    parser.add_argument("--data", type=Path, metavar="DIR", help="your recordings, described in DIR/manifest.toml")
    parser.add_argument("--record", type=Path, metavar="DIR", help="leave recordings, answers and traces there")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=(), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a few of each: does it run here?")
    parser.add_argument(
        "--hours", type=_factor, default=defaults.hours, metavar="H", help="of other speech for the wake word (0.25)"
    )
    parser.set_defaults(measure=run)


def run(args: argparse.Namespace, _: Config) -> int:
    """Measure and print."""
    from device.bench import loop

    values = loop.measure(
        Options(args.tts, args.slowdown, args.data, args.record, tuple(args.only), args.quick, args.hours)
    )
    print(json.dumps(values) if args.json else "\n".join(loop.lines(values)))
    return 0


def _factor(argument: str) -> float:
    value = float(argument)
    if not 0 < value < 1000:
        raise argparse.ArgumentTypeError(f"{argument} is not above 0")
    return value
