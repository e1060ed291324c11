"""Two tables of the store for people and programs: every function result, and every call that we have placed."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

from device.calls.attempts import Attempt
from device.config import Config
from device.functions.store import Reading, RecordedCall

Row = dict[str, Any]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`results` and `calls`, below `wakeline sessions`."""
    for name, help in (
        ("results", "what functions did, whoever asked: voice, text, call, staff"),
        ("calls", "calls that this device has placed, and how they ended"),
    ):
        parser = subparsers.add_parser(name, help=f"{help}; newest first")
        parser.add_argument("--most", type=int, default=50, metavar="N", help="so many (50)")
        parser.add_argument("--format", choices=("text", "csv", "json"), default="text", help="for people or programs")
        parser.add_argument("--out", type=Path, metavar="FILE", help="into a file, not to the terminal")


def run(args: argparse.Namespace, reading: Reading, config: Config) -> int:
    """One of the tables; returns the exit status."""
    rows = TABLES[args.sessions_command](reading, max(0, args.most))
    if args.format == "json":
        text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    elif args.format == "csv":
        text = _csv(rows)
    else:
        text = "".join(_line(row, config.zone) + "\n" for row in rows)
    if args.out is not None:
        args.out.write_text(text, newline="")
        print(f"{args.out}: {len(rows)} rows")
        return 0
    sys.stdout.write(text)
    if not rows:
        print(f"no {args.sessions_command} yet", file=sys.stderr)
    return 0


def harmless(row: Mapping[str, str]) -> dict[str, str]:
    """A spreadsheet would run what begins like a formula."""
    return {key: f"'{each}" if each.startswith(_FORMULA) else each for key, each in row.items()}


def _results(reading: Reading, most: int) -> list[Row]:
    return [_result(call) for call in reading.function_calls(most=most)]


def _result(call: RecordedCall) -> Row:
    return {
        "at": _utc(call.created),
        "id": call.id,
        "function": call.name,
        "origin": call.origin,
        "session": call.session,
        "state": call.state,
        "arguments": dict(call.arguments),
        "value": None if call.value is None else dict(call.value),
        "error": call.error_code,
        "sentence": call.sentence,
    }


def _calls(reading: Reading, most: int) -> list[Row]:
    return [_call(attempt) for attempt in reading.placed_calls(most=most)]


def _call(attempt: Attempt) -> Row:
    """Without the address: it is a person's number."""
    return {
        "at": _utc(datetime.fromtimestamp(attempt.at, UTC)),
        "id": attempt.id,
        "destination": attempt.destination,
        "link": attempt.link,
        "state": attempt.cause or "open",
        "answered": attempt.answered,
        "ended": None if attempt.ended_at is None else _utc(datetime.fromtimestamp(attempt.ended_at, UTC)),
        "error": attempt.code,
        "detail": attempt.detail,
    }


TABLES: Final[Mapping[str, Callable[[Reading, int], list[Row]]]] = {"results": _results, "calls": _calls}


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, tuple(rows[0]))
        writer.writeheader()
        writer.writerows(harmless({key: _text(value) for key, value in row.items()}) for row in rows)
    return text.getvalue()


def _line(row: Row, zone: tzinfo) -> str:
    at = datetime.fromisoformat(row["at"]).astimezone(zone)
    words = (_text(value) for key, value in row.items() if key not in ("at", "id", "session", "ended"))
    return "  ".join([f"{at:%Y-%m-%d %H:%M:%S}", *filter(None, words), row["id"]])


def _text(value: Any) -> str:
    if value is None or value is False or value == {}:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "answered" if value is True else str(value)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
