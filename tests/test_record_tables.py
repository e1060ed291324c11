"""`wakeline sessions results | calls`: what functions did for whoever asked, and whom this device has called."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from device.cli import main
from tests.house_rig import configure


class Desk:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._file = configure(folder, '[destinations."front desk"]\nlink = "practice"\n')
        self._capsys = capsys

    def run(self, *words: str) -> str:
        assert main(["--config", str(self._file), *words]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


def test_results_of_every_origin(desk: Desk, tmp_path: Path) -> None:
    assert desk.run("sessions", "results") == ""
    desk.run("ask", "what time is it")
    desk.run("functions", "call", "setTimer", "duration=60", "name==1+1", "--id", "staff-1")
    newest, oldest = desk.run("sessions", "results").splitlines()
    assert all(word in newest for word in ("setTimer", "staff", "done", "staff-1", '"name": "=1+1"'))
    assert all(word in oldest for word in ("getTime", "text", "done", "It's "))
    assert len(desk.run("sessions", "results", "--most", "1").splitlines()) == 1
    found = json.loads(desk.run("sessions", "results", "--format", "json"))
    assert [(one["function"], one["origin"], one["error"]) for one in found] == [
        ("setTimer", "staff", ""),
        ("getTime", "text", ""),
    ]
    assert found[0]["arguments"] == {"duration": 60, "name": "=1+1"}
    out = tmp_path / "results.csv"
    assert "2 rows" in desk.run("sessions", "results", "--format", "csv", "--out", str(out))
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert json.loads(rows[0]["value"]) == found[0]["value"]
    assert not any(cell.startswith("=") for row in rows for cell in row.values()), "no formula"


@pytest.mark.calls
def test_placed_calls(desk: Desk) -> None:
    assert desk.run("sessions", "calls", "--format", "csv") == ""
    desk.run("call", "front desk")
    (line,) = desk.run("sessions", "calls").splitlines()
    assert "front desk  practice" in line
    (call,) = json.loads(desk.run("sessions", "calls", "--format", "json"))
    assert (call["destination"], call["link"], call["state"]) == ("front desk", "practice", "completed")
    assert call["ended"] >= call["at"]
