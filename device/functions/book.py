"""The staff's view of the appointment book: `wakeline book list | cancel ID | export --format csv|ics`."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from device.config import Config
from device.functions.ics import calendar
from device.functions.sqlite_store import NAME, SqliteStore
from device.functions.store import Appointment

_COLUMNS = ("id", "date", "time", "zone", "minutes", "name", "people", "state", "starts_utc")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline book`."""
    parser = subparsers.add_parser("book", help="the appointment book", description="The appointment book.")
    sub = parser.add_subparsers(dest="book_command", required=True, metavar="list|cancel|export")
    listing = sub.add_parser("list", help="appointments from today on")
    listing.add_argument("--all", action="store_true", help="past and cancelled ones too")
    cancel = sub.add_parser("cancel", help="cancel an appointment; its time is free again")
    cancel.add_argument("id", type=int, metavar="ID", help="its number in the list")
    export = sub.add_parser("export", help="the whole book for another program")
    export.add_argument("--format", choices=("csv", "ics"), default="csv", help="a table, or a calendar (csv)")
    export.add_argument("--out", type=Path, metavar="FILE", help="into a file, not to the terminal")
    export.add_argument("--all", action="store_true", help="cancelled ones too")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; beside a running appliance too. Returns the exit status."""
    store = SqliteStore(config.paths.state_dir / NAME)
    try:
        if args.book_command == "cancel":
            return _cancel(store, args.id)
        if args.book_command == "export":
            return _export(store, args.format, args.out, cancelled=args.all)
        return _list(store, datetime.now(config.zone), everything=args.all)
    finally:
        store.close()


def _list(store: SqliteStore, now: datetime, *, everything: bool) -> int:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with store.reading() as book:
        found = book.appointments(None if everything else today.astimezone(UTC), cancelled=everything)
    for one in found:
        people = f"for {one.people}" if one.people > 1 else ""
        state = "cancelled" if one.state == "cancelled" else ""
        words = (
            f"{one.id:>5}  {local(one):%a %Y-%m-%d %H:%M}",
            f"{one.minutes} min",
            _visible(one.name),
            people,
            state,
        )
        print("  ".join(word for word in words if word))
    if not found:
        print("no appointments" if everything else "no appointments from today on", file=sys.stderr)
    return 0


def _cancel(store: SqliteStore, id: int) -> int:
    with store.transaction() as book:
        known = book.appointment(id)
        done = book.cancel_appointment(id)
    if known is None:
        print(f"there is no appointment {id}: see `wakeline book list`", file=sys.stderr)
        return 1
    when = f"{local(known):%a %Y-%m-%d %H:%M}"
    print(f"cancelled: {id}, {when}" if done else f"appointment {id}, {when}, was cancelled before")
    return 0


def _export(store: SqliteStore, form: str, out: Path | None, *, cancelled: bool) -> int:
    with store.reading() as book:
        found = book.appointments(cancelled=cancelled)
    text = to_csv(found) if form == "csv" else calendar(found)
    if out is None:
        sys.stdout.write(text)
    else:
        # Both formats end their lines with CR LF; nothing may translate that.
        out.write_text(text, "utf-8", newline="")
        print(f"{len(found)} appointments in {out}", file=sys.stderr)
    return 0


def to_csv(appointments: Sequence[Appointment]) -> str:
    """A table by RFC 4180, with a line of column names."""
    buffer = io.StringIO(newline="")
    table = csv.writer(buffer)
    table.writerow(_COLUMNS)
    for one in appointments:
        there = local(one)
        when = (f"{there:%Y-%m-%d}", f"{there:%H:%M}", one.zone, one.minutes)
        starts = f"{one.starts.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        table.writerow((one.id, *when, _cell(one.name), one.people, one.state, starts))
    return buffer.getvalue()


def local(one: Appointment) -> datetime:
    """Its start on the clock of the zone in which it was made."""
    try:
        return one.starts.astimezone(ZoneInfo(one.zone))
    except (ZoneInfoNotFoundError, ValueError):  # made where other zones are known
        return one.starts.astimezone(UTC)


def _cell(text: str) -> str:
    # A name comes from a stranger's mouth or browser: a spreadsheet must not run it as a formula.
    return f"'{text}" if text.startswith(_FORMULA) else text


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
