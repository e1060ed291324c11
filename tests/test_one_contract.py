"""One function, every way to it: the voice, the text, both forms of a call and an HTTP backend tell the same and keep
the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audio.replay import Recording
from audio.virtual import FixedCosts
from device.cli import main
from device.config import load_config
from device.functions.sqlite_store import NAME
from device.functions.store import RecordedCall
from device.secrets import Secrets
from device.session import play
from tests.backend_rig import Backend, backend, says
from tests.house_rig import Door, configure, opened, recorded
from tests.models_speech import say
from tests.offline_house import answers, jobs

pytestmark = [pytest.mark.models, pytest.mark.calls]

ASKED = "is there a table free tomorrow at seven p.m."
BACKEND = '[functions.checkAvailability]\npath = "/availability"\n'
BACKEND += 'result = { available = "isAvailable", nextSlots = "nextSlot" }\n'


@pytest.fixture
def far() -> Iterator[Backend]:
    with backend() as double:
        yield double


def by_voice(folder: Path) -> str:
    """A recording, through the real engines; what was heard."""
    config = load_config(configure(folder, '[tts]\nengine = "hibari"\n'))
    played = asyncio.run(
        play(
            config,
            Recording(say("joe", f"hey Jarvis, {ASKED}")),
            database=folder / "state" / NAME,
            start=datetime.now(UTC),
            costs=FixedCosts(),
            jobs=jobs(),
            secrets=Secrets({}, folder / "no.env"),
        )
    )
    (heard,) = answers(played.trace)
    return heard


def by_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["--config", str(folder / "wakeline.toml"), "ask", ASKED]) == 0
    return capsys.readouterr().out


def by_call(folder: Path, wanted: dict[str, str], call: str, environ: dict[str, str] | None = None) -> tuple[Any, Any]:
    """Results of the present form and of the legacy one, over HTTP."""

    async def scene() -> tuple[Any, Any]:
        async with opened(load_config(folder / "wakeline.toml"), environ) as door:
            now = (await door.tool("checkAvailability", wanted, call=call))["result"]
            return json.loads(now), (await legacy(door, call, wanted))["result"]

    return asyncio.run(scene())


async def legacy(door: Door, call: str, parameters: dict[str, Any]) -> dict[str, Any]:
    message = {"type": "function-call", "functionCall": {"name": "checkAvailability", "parameters": parameters}}
    answer = await door.post(message, call=call, scheme="hmac-body")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def kept(call: RecordedCall) -> dict[str, Any]:
    """All of a record but who asked, and when."""
    return {name: getattr(call, name) for name in ("name", "arguments", "state", "value", "error_code", "sentence")}


def test_five_ways_one_result_one_record(
    tmp_path: Path, far: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    day = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    wanted = {"date": day, "time": "19:00"}
    file = configure(tmp_path)
    taken = ["functions", "call", "bookAppointment", f"date={day}", "time=19:00", "people=4"]
    assert main(["--config", str(file), *taken]) == 0
    capsys.readouterr()

    said = by_voice(tmp_path)
    assert said in by_text(tmp_path, capsys), "the text says what the voice says"
    now, old = by_call(tmp_path, wanted, "c-1")
    # The backend of the tutorial, with a book that says the same.
    configure(tmp_path, BACKEND)
    far.will(says({"isAvailable": now["available"], "nextSlot": now["nextSlots"]}))
    monkeypatch.setenv("BACKEND_URL", far.url)
    through = by_call(tmp_path, wanted, "c-2", {"BACKEND_URL": far.url})
    by_text(tmp_path, capsys)

    assert now == old == through[0] == through[1]
    assert now["available"] is False
    assert all(slot["date"] >= day for slot in now["nextSlots"])
    assert [asked.json for asked in far.asked] == [wanted] * 3
    calls = [call for call in recorded(tmp_path) if call.name == "checkAvailability"]
    # A replay's clock runs ahead of the one on the wall: its call may stand anywhere between the others.
    calls.sort(key=lambda call: call.origin != "voice")
    assert [call.origin for call in calls] == ["voice", "text", "call", "call", "call", "call", "text"]
    records = [kept(call) for call in calls]
    own, behind = records[:4], records[4:]
    assert own == [own[0]] * 4
    assert [record | {"sentence": ""} for record in behind] == [own[0] | {"sentence": ""}] * 3
    assert own[0]["value"] == now
    assert own[0]["arguments"] == wanted
    assert len({call.id for call in calls}) == 7
