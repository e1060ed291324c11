"""Measuring on this machine: `wakeline bench loop | webhooks | tts | stt`."""

from __future__ import annotations

import argparse
import json
import sys

from device.bench import engines, loop_command, webhooks
from device.config import Config

_MEANINGS = {
    "events": "sent once each, {calls} calls side by side",
    "requests": "with those sent again late, in any order",
    "lost": "effects, events or sessions that are not there",
    "duplicated": "functions that ran twice, or slots booked twice",
    "disordered": "effects of a call out of its order",
    "errors": "wrong answers",
    "p50_ms": "answer to a fast one, {in_flight} under way at once",
    "p99_ms": "",
    "events_per_s": "",
    "bare_events_per_s": "a bare endpoint that checks the same HMAC, same load",
    "ratio": "with synchronous=FULL",
    "ratio_without_effects": "notices and reads alone",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline bench`."""
    parser = subparsers.add_parser("bench", help="measure it on this machine", description=__doc__)
    sub = parser.add_subparsers(dest="bench_command", required=True, metavar="loop|webhooks|tts|stt")
    loop_command.add_parser(sub)
    engines.add_parsers(sub)
    load = webhooks.Load()
    web = sub.add_parser(
        "webhooks",
        help="signed events of many calls at once, compared with a bare endpoint",
        description="Starts the web part on loopback with an empty book, sends signed events from a second process "
        "with a ledger of its own, compares that with the database, and does the same to a bare endpoint.",
    )
    web.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    web.add_argument("--calls", type=_count, default=load.calls, metavar="N", help=f"at once ({load.calls})")
    web.add_argument("--events", type=_count, default=load.events, metavar="N", help=f"in all ({load.events})")
    web.add_argument("--seed", type=int, default=load.seed, metavar="N", help=f"the same load again ({load.seed})")
    web.add_argument(
        "--in-flight", type=_count, default=load.in_flight, metavar="N", help=f"requests at once ({load.in_flight})"
    )
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; 1 when something was lost, doubled or wrong."""
    if "measure" in args:
        return int(args.measure(args, config))
    load = webhooks.Load(args.calls, max(args.calls, args.events), args.seed, args.in_flight)
    figures = webhooks.measure(load)
    if args.json:
        print(json.dumps(figures.values))
    else:
        for key, meaning in _MEANINGS.items():
            print(f"{key:22} {figures.values[key]:>10}  {meaning.format(**figures.values)}".rstrip())
    for fault in figures.faults:
        print(fault, file=sys.stderr)
    return 0 if figures.clean else 1


def _count(argument: str) -> int:
    count = int(argument)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{argument} is not above 0")
    return count
