"""The appliance forgets a talk some seconds after its last turn, so that the next person hears nothing of it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from audio.commands import Answer
from audio.events import Event, ReplyDecided, TurnEnded, TurnStarted
from audio.frames import Samples, TurnId
from device.app import build
from device.config import Config
from device.secrets import Secrets
from device.settings import DialogSection, PathsSection


def test_the_talk_is_wiped_after_the_last_turn_and_not_before(tmp_path: Path) -> None:
    clock = [datetime(2026, 12, 1, 15, 20, tzinfo=ZoneInfo("Europe/Berlin"))]
    paths = PathsSection(state_dir=tmp_path, runtime_dir=tmp_path)
    config = Config(paths=paths, dialog=DialogSection(wipe_s=20))
    codes: list[str] = []

    async def play() -> None:
        house = build(config, Secrets(), clock=lambda: clock[0])
        appliance = house.appliance

        async def turn(number: int, text: str, after_s: float) -> str:
            clock[0] += timedelta(seconds=after_s)
            appliance.due()
            appliance.observe(TurnStarted(turn=TurnId(number), by="wake", since=Samples(0)))
            clock[0] += timedelta(seconds=30)  # however long somebody speaks
            appliance.due()
            events, _ = await appliance.answer(Answer(turn=TurnId(number), text=text, confidence=0.9))
            appliance.observe(TurnEnded(turn=TurnId(number), outcome="answered"))
            return _said(events)

        codes.append(await turn(1, "book a table", 0))
        codes.append(await turn(2, "tomorrow", 19))
        codes.append(await turn(3, "at eight p.m.", 21))
        assert house.dialog.history("voice")[0].user == "at eight p.m."
        await house.close()

    asyncio.run(play())
    assert codes[:2] == ["For which day?", "At what time?"]
    assert codes[2].startswith("I didn't get that.")


def _said(events: list[Event]) -> str:
    return next(event.text for event in events if isinstance(event, ReplyDecided))
