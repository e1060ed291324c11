"""Scripted dialogues with the builtin functions in the real runner and store.

In a script CODE is the code of the last booking, WRONG another one, and `by: staff` makes a turn of the staff.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from device.config import Config
from device.dialog.assembly import build_dialog
from device.functions.booking_codes import Guesses
from device.functions.context import Context, FunctionStore
from device.functions.contract import FunctionCall
from device.functions.registry import Registry
from device.functions.runner import Runner
from device.functions.sqlite_store import SqliteStore

BERLIN = ZoneInfo("Europe/Berlin")
FILES = sorted((Path(__file__).parent / "dialogues" / "builtin").glob("*.yaml"))
SCRIPTS = [(path.stem, script) for path in FILES for script in yaml.safe_load(path.read_text(encoding="utf-8"))]
_CODE = re.compile(r"Your code is (\d) (\d) (\d) (\d)\.")


class House:
    """The builtin functions with a clock that can be set, and believed or not."""

    def __init__(self, folder: Path, script: Mapping[str, Any]) -> None:
        self.now = datetime.fromisoformat(script.get("now", "2026-12-01T15:20")).replace(tzinfo=BERLIN)
        self.trusted = True
        self.code = "0000"
        registry = Registry.load()
        self.store = SqliteStore(folder / "book.db")
        guesses = Guesses()

        def context(call: FunctionCall, unit: FunctionStore) -> Context:
            return Context(
                unit,
                call.id,
                call.session,
                call.origin,
                lambda: self.now,
                BERLIN,
                clock_trusted=lambda: self.trusted,
                guesses=guesses,
            )

        self.runner = Runner(registry, self.store, context)
        self.dialog = build_dialog(
            Config(), registry, self.runner, lambda: self.now, clock_trusted=lambda: self.trusted
        )

    async def play(self, turns: list[Mapping[str, Any]]) -> None:
        for number, turn in enumerate(turns):
            self.now += timedelta(seconds=turn.get("after", 5))
            self.trusted = turn.get("trusted", self.trusted)
            wrong = f"{(int(self.code) + 1) % 10000:04}"
            text = turn["user"].replace("CODE", " ".join(self.code)).replace("WRONG", " ".join(wrong))
            reply = await self.dialog.answer(text, None, "s", f"t{number}", origin=turn.get("by", "voice"))
            if found := _CODE.search(reply.text):
                self.code = "".join(found.groups())
            said = _CODE.sub("Your code is CODE.", reply.text)
            where = f"turn {number + 1}: {text!r} -> {reply}"
            assert said == turn.get("says", said), where
            assert all(part in said for part in turn.get("has", ())), where
            assert reply.code == turn.get("code", reply.code), where
            assert reply.committed == turn.get("committed", reply.committed), where
        await self.runner.drain()


@pytest.mark.parametrize("script", [pytest.param(s, id=f"{file}: {s['name']}") for file, s in SCRIPTS])
def test_builtin_dialogue(script: Mapping[str, Any], tmp_path: Path) -> None:
    house = House(tmp_path, script)
    asyncio.run(house.play(script["turns"]))
    house.store.close()


def test_names_are_distinct() -> None:
    names = [(file, script["name"]) for file, script in SCRIPTS]
    assert len(set(names)) == len(names)
