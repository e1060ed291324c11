"""Scripted text dialogues (tests/dialogues/*.yaml) through the whole dialog, with a frozen clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from device.dialog.dialog import Dialog
from device.dialog.reply import ClearAlert, PlaceCall, Reply
from tests.dialogues.house import BERLIN, House

FILES = sorted((Path(__file__).parent / "dialogues").glob("*.yaml"))


def _load() -> list[Any]:
    cases = []
    for path in FILES:
        for script in yaml.safe_load(path.read_text(encoding="utf-8")):
            cases.append(pytest.param(script, id=f"{path.stem}: {script['name']}"))
    return cases


@dataclass
class Clock:
    now: datetime
    ticks: list[int] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now


def _effects(reply: Reply) -> list[str]:
    names = []
    for effect in reply.effects:
        if isinstance(effect, PlaceCall):
            names.append(f"call {effect.destination} because {effect.reason}")
        elif isinstance(effect, ClearAlert):
            names.append(f"clear {effect.alert}")
    return names


@pytest.mark.parametrize("script", _load())
def test_dialogue(script: dict[str, Any]) -> None:
    zone = ZoneInfo(script.get("zone", BERLIN))
    clock = Clock(datetime.fromisoformat(str(script.get("now", "2026-12-01T15:20"))).replace(tzinfo=zone))
    house = House(clock, script.get("taken", ()), script.get("fails"), script.get("slow", ()))
    dialog = house.dialog(callees=script.get("callees", ["front desk"]), hours=script.get("hours"))
    asyncio.run(_play(script, dialog, house, clock))


async def _play(script: dict[str, Any], dialog: Dialog, house: House, clock: Clock) -> None:
    for number, turn in enumerate(script["turns"]):
        clock.now += timedelta(seconds=turn.get("after", 5))
        before = len(house.calls)
        reply = await dialog.answer(
            turn["user"],
            turn.get("confidence"),
            turn.get("session", "s"),
            turn.get("turn", f"t{number}"),
            ringing=turn.get("ringing", ()),
        )
        dialog.heard(reply.id, turn.get("heard", reply.text))
        ran = [f"{call.name}({_arguments(call.arguments)})" for call in house.calls[before:]]
        where = f"turn {number + 1}: {turn['user']!r} -> {reply}"
        if "says" in turn:
            assert reply.text == turn["says"], where
        for part in turn.get("has", ()):
            assert part in reply.text, where
        assert reply.code == turn.get("code", reply.code), where
        assert ran == turn.get("runs", []), where
        assert _effects(reply) == turn.get("effects", []), where
        assert reply.committed == turn.get("committed", reply.committed), where
        assert reply.follow_up == turn.get("follow_up", reply.follow_up), where
        if "expects" in turn:
            assert set(turn["expects"]) <= set(reply.phrases), where


def _arguments(arguments: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(arguments.items()))
