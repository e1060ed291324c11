"""Calls whose end was never told do not stay open for ever, however many there are."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from device.config import Config
from device.functions.sqlite_store import SqliteStore
from device.secrets import Secrets
from device.web.requests import Authentic
from device.web.twilio import NO_FINAL_STATUS, TwilioEndpoint
from tests.test_vapi import play, rig

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_a_twilio_call_without_a_final_status(tmp_path: Path) -> None:
    now = [NOW]

    async def scene(store: SqliteStore) -> None:
        endpoint = TwilioEndpoint(Config(), Secrets({}, tmp_path / "none"), store, lambda: now[0])

        async def status(call: str, kind: str, number: int) -> None:
            form = {"CallSid": f"CA{call * 32}", "CallStatus": kind, "SequenceNumber": str(number)}
            body = urlencode(form).encode()
            assert (await endpoint.status(Authentic("/x", body, {}, "", now[0]))).status == 204

        await status("1", "in-progress", 1)
        await status("2", "completed", 3)
        now[0] += timedelta(hours=4)
        await status("3", "ringing", 0)
        assert await endpoint.tidy() == 0, "people may talk for as long as Twilio lets them"
        now[0] += timedelta(hours=1, seconds=1)
        assert await endpoint.tidy() == 1
        assert await endpoint.tidy() == 0
        await status("1", "completed", 2)  # it comes after all
        with store.reading() as reading:
            rows = {row.id[-1]: (row.state, row.reason) for row in reading.sessions()}
        assert rows == {"1": ("ended", NO_FINAL_STATUS), "2": ("ended", "completed"), "3": ("ringing", "")}
        await endpoint.aclose()

    with closing(SqliteStore(tmp_path / "wakeline.db")) as store:
        asyncio.run(scene(store))


def test_old_ones_behind_many_new_ones(tmp_path: Path) -> None:
    """After a restart, with nothing in memory; those that still have events stay open."""

    async def scene() -> None:
        async with rig(tmp_path) as one:
            with one.store.transaction() as store:
                for number in range(3):
                    store.open_session(f"vapi:old-{number}", "vapi", one.now)
                store.note_session("vapi:old-2", "hang", "", one.now + timedelta(hours=2))
                later = one.now + timedelta(hours=2)
                for number in range(1200):
                    store.open_session(f"vapi:new-{number}", "vapi", later + timedelta(milliseconds=number))
            one.now = later + timedelta(minutes=1)
            assert await one.endpoint.tidy() == 2
            assert [one.state(f"old-{number}") for number in range(3)] == ["ended", "ended", "queued"]
            assert await one.endpoint.tidy() == 0

    play(scene)
