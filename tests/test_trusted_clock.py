"""When the clock can be trusted with a date, and what is said while it cannot."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from device.config import Config
from device.dialog.assembly import build_dialog
from device.functions.context import Context, FunctionStore
from device.functions.contract import FunctionCall, FunctionResult
from device.functions.registry import Registry
from device.functions.runner import Runner
from device.functions.sqlite_store import SqliteStore
from device.trusted_clock import ClockTrust, kernel_synchronised, last_written

NOW = datetime(2026, 12, 1, 15, 20, tzinfo=UTC)


def _trust(root: Path, *, now: datetime = NOW, newest: datetime | None = None, kernel: bool = False) -> ClockTrust:
    return ClockTrust(lambda: now, newest, root=root, synchronised=lambda: kernel)


def _write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _board(root: Path) -> None:
    _write(root / "proc/device-tree/model", "Raspberry Pi 4 Model B")


def test_a_board_without_battery_is_trusted_once_it_was_synchronised(tmp_path: Path) -> None:
    _board(tmp_path)
    trust = _trust(tmp_path)
    assert not trust()
    assert _trust(tmp_path, kernel=True)()
    _write(tmp_path / "run/systemd/timesync/synchronized")
    assert trust()
    (tmp_path / "run/systemd/timesync/synchronized").unlink()
    assert trust(), "a running clock does not go wrong by hours"


def test_a_battery_keeps_the_time_unless_it_is_empty(tmp_path: Path) -> None:
    _board(tmp_path)
    _write(tmp_path / "sys/class/rtc/rtc0/hctosys", "1\n")
    assert _trust(tmp_path)()
    assert not _trust(tmp_path, now=datetime(1970, 1, 1, 0, 5, tzinfo=UTC))()
    _write(tmp_path / "sys/class/rtc/rtc0/hctosys", "0\n")
    assert not _trust(tmp_path)()


def test_a_computer_that_is_no_board_is_trusted_unless_its_clock_stands_before_its_own_records(tmp_path: Path) -> None:
    assert _trust(tmp_path)()
    assert not _trust(tmp_path, newest=NOW + timedelta(days=1))()
    assert not _trust(tmp_path, now=datetime(2020, 1, 1, tzinfo=UTC))()


def test_what_was_written_last(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert last_written(path) is None
    path.touch()
    os.utime(path, (NOW.timestamp(),) * 2)
    assert last_written(path) == NOW


def test_the_kernel_can_be_asked() -> None:
    assert kernel_synchronised() in (True, False)


# -- what is said -------------------------------------------------------------------------------------------------
class _House:
    def __init__(self, folder: Path) -> None:
        self.trusted = False
        self.store = SqliteStore(folder / "book.db")
        zone = ZoneInfo("Europe/Berlin")

        def clock() -> datetime:
            return NOW.astimezone(zone)

        def context(call: FunctionCall, unit: FunctionStore) -> Context:
            return Context(unit, call.id, call.session, call.origin, clock, zone, clock_trusted=lambda: self.trusted)

        registry = Registry.load()
        self.runner = Runner(registry, self.store, context)
        self.dialog = build_dialog(Config(), registry, self.runner, clock, clock_trusted=lambda: self.trusted)

    async def say(self, text: str, turn: str) -> tuple[str, str]:
        reply = await self.dialog.answer(text, None, "s", turn)
        return reply.text, reply.code


SORRY = "I don't know what day it is yet: my clock was not set since I was switched on."


def test_dates_wait_for_the_clock_and_timers_do_not(tmp_path: Path) -> None:
    house = _House(tmp_path)

    async def play() -> None:
        for number, text in enumerate(
            (
                "what's the date",
                "what time is it",
                "book a table",
                "are you free tomorrow at seven",
                "book Friday at 8 pm",
            )
        ):
            assert await house.say(text, f"a{number}") == (SORRY, "refused"), text
        assert await house.say("set a timer for ten minutes", "b") == ("Timer set for 10 minutes.", "answered")
        house.trusted = True
        assert await house.say("book a table tomorrow", "c") == ("At what time?", "asked")

    asyncio.run(play())
    house.store.close()


@pytest.mark.parametrize("name", ["checkAvailability", "bookAppointment", "scheduleAppointment"])
def test_callers_get_a_stable_code(tmp_path: Path, name: str) -> None:
    house = _House(tmp_path)

    async def call() -> FunctionResult:
        arguments = {"date": "2026-12-02", "time": "19:00"}
        return await house.runner.run(FunctionCall("1", name, arguments, "call"))

    result = asyncio.run(call())
    assert (result.error.code if result.error else None, result.sentence) == ("clock-untrusted", SORRY)
    house.store.close()
