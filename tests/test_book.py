"""`wakeline book`: the staff's list, cancelling, and exports that other programs read back."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from device.config import Config
from device.functions import book
from device.functions.ics import calendar
from device.functions.sqlite_store import NAME, SqliteStore
from device.functions.store import Appointment
from device.settings import PathsSection

NOW = dt.datetime(2026, 12, 1, 14, 20, tzinfo=dt.UTC)
STARTS = dt.datetime(2199, 12, 2, 18, tzinfo=dt.UTC)


def run(folder: Path, *argv: str) -> int:
    parser = argparse.ArgumentParser()
    book.add_parser(parser.add_subparsers(required=True)).set_defaults(command=book.run)
    args = parser.parse_args(["book", *argv])
    return int(args.command(args, Config(paths=PathsSection(state_dir=folder))))


def fill(folder: Path, name: str = "Anna", starts: dt.datetime = STARTS) -> None:
    store = SqliteStore(folder / NAME)
    with store.transaction() as writing:
        writing.add_appointment(starts, 30, "Europe/Berlin", name=name, people=4, created=NOW)
    store.close()


def test_list_and_cancel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "list") == 0
    assert "no appointments" in capsys.readouterr().err
    fill(tmp_path)
    fill(tmp_path, "Past", NOW - dt.timedelta(days=400))
    assert run(tmp_path, "list") == 0
    assert capsys.readouterr().out == "    1  Mon 2199-12-02 19:00  30 min  Anna  for 4\n"
    assert run(tmp_path, "cancel", "1") == 0
    assert capsys.readouterr().out == "cancelled: 1, Mon 2199-12-02 19:00\n"
    assert run(tmp_path, "cancel", "1") == 0
    assert "before" in capsys.readouterr().out
    assert run(tmp_path, "cancel", "7") == 1
    assert "there is no appointment 7" in capsys.readouterr().err
    assert run(tmp_path, "list", "--all") == 0
    out = capsys.readouterr().out
    assert "Past" in out
    assert "cancelled" in out


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, "=HYPERLINK(1)")
    assert run(tmp_path, "export") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert (row["date"], row["time"], row["zone"]) == ("2199-12-02", "19:00", "Europe/Berlin")
    assert (row["name"], row["starts_utc"]) == ("'=HYPERLINK(1)", "2199-12-02T18:00:00Z")
    out = tmp_path / "book.ics"
    assert run(tmp_path, "export", "--format", "ics", "--out", str(out)) == 0
    (event,) = Calendar.from_ical(out.read_bytes()).walk("VEVENT")
    assert event["DTSTART"].dt == STARTS
    assert event["DTEND"].dt == STARTS + dt.timedelta(minutes=30)
    assert str(event["SUMMARY"]) == "Appointment: =HYPERLINK(1)"


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=100)


@given(NAMES)
def test_a_calendar_is_read_back_by_others(name: str) -> None:
    one = Appointment(3, STARTS, 30, "Europe/Berlin", name, 1, "booked", NOW)
    data = calendar([one]).encode()
    lines = data.split(b"\r\n")
    assert lines[-1] == b""
    assert all(len(line) <= 75 and b"\n" not in line for line in lines)
    for line in lines:
        line.decode()
    (event,) = Calendar.from_ical(data).walk("VEVENT")
    assert str(event["SUMMARY"]) == (f"Appointment: {name}" if name else "Appointment")
    assert event["STATUS"] == "CONFIRMED"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_table_is_read_back_by_others(name: str) -> None:
    one = Appointment(3, STARTS, 30, "Nowhere/Else", name, 1, "cancelled", NOW)
    (row,) = csv.DictReader(io.StringIO(book.to_csv([one]), newline=""))
    assert row["name"].removeprefix("'") == name.removeprefix("'")
    assert not row["name"].startswith(("=", "+", "-", "@"))
    assert row["time"] == "18:00"
