"""What goes wrong with a function call, as a caller at Vapi and a person at the command line are told it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from device.cli import main
from device.config import load_config
from tests.house_rig import configure, opened, recorded

VOICE_ONLY = '''
from device.functions import function


@function(effect=True, origins=("voice",))
def open_door() -> str:
    """Open the door."""
    return "The door is open."
'''

WRONG = (
    ("checkAvailability", {"date": "someday", "time": "19:00"}, ("date", "expected")),
    ("checkAvailability", {"date": "2026-12-04"}, ("time", "expected")),
    ("checkAvailability", {"date": "2026-12-04", "time": "19:00", "colour": "red"}, ("colour",)),
    ("bookAppointment", {"date": "2026-12-04", "time": "19:00", "people": 0}, ("people", "greater than or equal to 1")),
    ("bookAppointment", {"date": "2026-12-04", "time": "19:00", "name": "x" * 17_000}, ("more than I can take in",)),
    ("openDoor", {}, ("can't be done from here",)),
    ("openDor", {}, ("don't know how",)),
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "door.py").write_text(VOICE_ONLY)
    return configure(tmp_path)


@pytest.mark.calls
def test_in_a_call(file: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(load_config(file)) as door:
            for number, (name, arguments, told) in enumerate(WRONG):
                result = await door.tool(name, arguments, f"t-{number}")
                assert set(result) == {"name", "toolCallId", "error"}, result
                assert all(word in result["error"] for word in told), result
                assert len(result["error"].splitlines()) == 1
                assert len(result["error"]) < 1000, "what was sent is not read back"
            text = {"id": "t-x", "type": "function", "function": {"name": "getTime", "arguments": "{broken"}}
            answer = await door.post({"type": "tool-calls", "toolCallList": [text]})
            assert "JSON object" in answer.json()["results"][0]["error"]

    asyncio.run(scene())
    assert [call.state for call in recorded(tmp_path) if call.state == "done"] == [], "nothing ran"


def test_at_the_command_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, arguments, told in WRONG[:4]:
        words = [f"{key}={value}" for key, value in arguments.items()]
        assert main(["--config", str(file), "functions", "call", name, *words]) == 2
        said = capsys.readouterr().err
        assert all(word in said for word in told), said
    assert main(["--config", str(file), "functions", "call", "openDor", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "function-unknown"
