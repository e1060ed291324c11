"""What happened: calls of the providers, all function results, the calls we placed.

`wakeline sessions list | show ID | export | results | calls`
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device import record_tables
from device.config import Config
from device.functions.sqlite_store import NAME, SqliteStore
from device.functions.store import Reading, RecordedCall, Session, SessionEvent

_MOST = 1_000_000
_COLUMNS = ("session", "provider", "at", "row", "number", "kind", "state", "detail", "value")
_EVENT, _FUNCTION = "event", "function"


@dataclass(frozen=True, slots=True)
class Whole:
    """A session with all that happened in it."""

    session: Session
    events: tuple[SessionEvent, ...]
    functions: tuple[RecordedCall, ...]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline sessions`."""
    what = "phone calls, their events, and every function result"
    parser = subparsers.add_parser("sessions", help=what, description=__doc__)
    sub = parser.add_subparsers(dest="sessions_command", required=True, metavar="list|show|export|results|calls")
    listing = sub.add_parser("list", help="the last calls, newest first")
    listing.add_argument("--most", type=int, default=50, metavar="N", help="so many (50)")
    show = sub.add_parser("show", help="one call: its events and what its functions did")
    show.add_argument("id", metavar="ID", help="as in the list; the provider's own id will do")
    export = sub.add_parser("export", help="all calls for another program")
    export.add_argument("--format", choices=("csv", "json"), default="csv", help="a table, or everything (csv)")
    export.add_argument("--out", type=Path, metavar="FILE", help="into a file, not to the terminal")
    record_tables.add_parsers(sub)
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; beside a running appliance too. Returns the exit status."""
    store = SqliteStore(config.paths.state_dir / NAME)
    try:
        with store.reading() as reading:
            if args.sessions_command == "show":
                return _show(reading, args.id, config)
            if args.sessions_command in record_tables.TABLES:
                return record_tables.run(args, reading, config)
            if args.sessions_command == "export":
                return _export(reading, args.format, args.out)
            return _list(reading, args.most, config)
    finally:
        store.close()


def _list(reading: Reading, most: int, config: Config) -> int:
    found = reading.sessions(most=max(0, most))
    for one in found:
        events, functions = len(reading.session_events(one.id)), len(reading.function_calls(one.id))
        words = (_local(one.started, config), one.id, one.state, one.reason, f"{events} events, {functions} functions")
        print("  ".join(word for word in words if word))
    if not found:
        print("no calls yet", file=sys.stderr)
    return 0


def _show(reading: Reading, id: str, config: Config) -> int:
    candidates = (id, f"vapi:{id}", f"twilio:{id}")
    session = next((found for each in candidates if (found := reading.session(each)) is not None), None)
    if session is None:
        print(f"wakeline: session-unknown: there is no call {id!r}", file=sys.stderr)
        return 1
    whole = _whole(reading, session)
    print(f"{session.id}  {session.state}" + (f"  {session.reason}" if session.reason else ""))
    ended = f", ended {_local(session.ended, config)}" if session.ended else ""
    print(f"began {_local(session.started, config)}{ended}")
    if session.summary:
        print(session.summary)
    for row in sorted(_rows(whole), key=lambda row: (row["at"], row["row"])):
        at = datetime.fromisoformat(row["at"]).astimezone(config.zone)
        words = (f"{at:%H:%M:%S.%f}"[:-3], row["kind"], row["state"], row["detail"], row["value"])
        print("  " + "  ".join(word for word in words if word))
    return 0


def _export(reading: Reading, form: str, out: Path | None) -> int:
    wholes = [_whole(reading, one) for one in reading.sessions(most=_MOST)]
    text = json.dumps([_as_json(one) for one in wholes], indent=2) + "\n" if form == "json" else _table(wholes)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, newline="")
        print(f"{out}: {len(wholes)} calls")
    return 0


def _whole(reading: Reading, session: Session) -> Whole:
    functions = reading.function_calls(session.id, most=_MOST)
    return Whole(session, tuple(reading.session_events(session.id)), tuple(reversed(functions)))


def _rows(whole: Whole) -> Iterator[dict[str, str]]:
    """One for each event and each function, in the columns of the table."""
    common = {"session": whole.session.id, "provider": whole.session.provider}
    for event in whole.events:
        rest = {"row": _EVENT, "number": str(event.number), "kind": event.kind, "detail": event.detail}
        yield common | {"at": _utc(event.at), "state": "", "value": ""} | rest
    for call in whole.functions:
        value = "" if call.value is None else json.dumps(dict(call.value), ensure_ascii=False)
        detail = call.error_code or call.sentence
        rest = {"row": _FUNCTION, "number": call.id, "kind": call.name, "state": call.state, "detail": detail}
        yield common | {"at": _utc(call.created), "value": value} | rest


def _table(wholes: list[Whole]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    for whole in wholes:
        for row in _rows(whole):
            writer.writerow(record_tables.harmless(row))
    return text.getvalue()


def _as_json(whole: Whole) -> Mapping[str, Any]:
    session = whole.session
    return {
        "id": session.id,
        "provider": session.provider,
        "state": session.state,
        "started": _utc(session.started),
        "ended": _utc(session.ended) if session.ended else None,
        "reason": session.reason,
        "summary": session.summary,
        "events": [
            {"number": one.number, "kind": one.kind, "detail": one.detail, "at": _utc(one.at)} for one in whole.events
        ],
        "functions": [
            {
                "id": one.id,
                "name": one.name,
                "arguments": dict(one.arguments),
                "state": one.state,
                "value": None if one.value is None else dict(one.value),
                "error": one.error_code,
                "sentence": one.sentence,
                "at": _utc(one.created),
            }
            for one in whole.functions
        ],
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _local(moment: datetime, config: Config) -> str:
    return f"{moment.astimezone(config.zone):%Y-%m-%d %H:%M:%S}"
