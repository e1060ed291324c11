"""Scripted dialogues with the builtin functions in the real runner and store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from device.config import Config
from device.dialog.assembly import build_dialog
from device.functions.context import Context, FunctionStore
from device.functions.contract import FunctionCall
from device.functions.registry import Registry
from device.functions.runner import Runner
from device.functions.sqlite_store import SqliteStore

BERLIN = ZoneInfo("Europe/Berlin")
SCRIPTS = yaml.safe_load((Path(__file__).parent / "dialogues" / "builtin" / "visit.yaml").read_text(encoding="utf-8"))


class Clock:
    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now).replace(tzinfo=BERLIN)

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize("script", [pytest.param(script, id=script["name"]) for script in SCRIPTS])
def test_builtin_dialogue(script: Mapping[str, Any], tmp_path: Path) -> None:
    clock = Clock(script.get("now", "2026-12-01T15:20"))
    registry = Registry.load()
    store = SqliteStore(tmp_path / "book.db")

    def context(call: FunctionCall, unit: FunctionStore) -> Context:
        return Context(unit, call.id, call.session, call.origin, clock, BERLIN)

    runner = Runner(registry, store, context)
    dialog = build_dialog(Config(), registry, runner, clock)

    async def play() -> None:
        for number, turn in enumerate(script["turns"]):
            clock.now += timedelta(seconds=5)
            reply = await dialog.answer(turn["user"], None, "s", f"t{number}")
            assert reply.text == turn.get("says", reply.text)
            assert all(part in reply.text for part in turn.get("has", ())), reply
            assert reply.code == turn.get("code", reply.code), reply
            assert reply.committed == turn.get("committed", reply.committed), reply
        await runner.drain()

    asyncio.run(play())
    store.close()
