"""`wakeline bench tts`: which voice is recommended, what is kept of it, and what `wakeline config` says."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from device.bench import tts
from device.cli import main

DAY = date(2026, 3, 10)


def figures(**begins: float) -> dict[str, object]:
    missing: dict[str, object] = {name: {"missing": "engine-missing"} for name in tts.VOICES}
    return missing | {name: {"begins_ms": {"p50": value, "p95": value}} for name, value in begins.items()}


def test_the_replies_have_ten_words() -> None:
    assert {len(reply.split()) for reply in tts.REPLIES} == {10}
    assert len(set(tts.REPLIES)) == len(tts.REPLIES)


@pytest.mark.parametrize(
    ("begins", "take"),
    [
        ({"piper": 300.0, "hibari": 40.0}, "piper"),
        ({"piper": 301.0, "hibari": 40.0}, "hibari"),
        ({"piper": 900.0}, "piper"),
        ({"hibari": 900.0}, "hibari"),
    ],
)
def test_piper_is_taken_where_it_begins_soon(begins: dict[str, float], take: str) -> None:
    assert tts.recommended(begins) == take


def test_what_was_found_is_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert "wakeline bench tts" in tts.advice(state, "piper")
    tts.keep({"take": "hibari", **figures(piper=512.4, hibari=61.2)}, state, DAY)
    assert tts.kept(state) == tts.Take("hibari", {"piper": 512.4, "hibari": 61.2}, DAY)
    assert "piper 512 ms, hibari 61 ms" in tts.advice(state, "piper")
    assert '[tts] engine = "hibari"' in tts.advice(state, "piper")
    assert tts.advice(state, "hibari").endswith("as it is.")
    tts.keep({"take": "hibari", **figures(hibari=61.2)}, state, DAY)
    assert [path.name for path in state.iterdir()] == ["voices.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"take": 3}', b"\xff\xfe", b"[1]"])
def test_a_file_that_cannot_be_read_is_no_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "voices.json").write_bytes(content)
    assert tts.kept(tmp_path) is None
    assert "not timed" in tts.advice(tmp_path, "piper")


@pytest.mark.models
def test_both_voices_are_timed_and_config_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAKELINE_PATHS__STATE_DIR", str(tmp_path))
    monkeypatch.setattr(tts, "REPLIES", tts.REPLIES[:2])
    assert main(["bench", "tts", "--json", "--rounds", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in tts.VOICES:
        assert 0 < found[name]["begins_ms"]["p50"] <= found[name]["begins_ms"]["p95"]
        assert 0 < found[name]["real_time_factor"] < 1
        assert found[name]["pss_mb"] > 50
    assert found["hibari"]["begins_ms"]["p50"] < found["piper"]["begins_ms"]["p50"]
    assert main(["config"]) == 0
    assert f"take {found['take']}" in capsys.readouterr().out.splitlines()[-1]
    # With another pace nothing is kept: it is no figure of this board.
    (tmp_path / "voices.json").unlink()
    assert main(["bench", "tts", "--rounds", "1", "--slowdown", "100"]) == 0
    shown = capsys.readouterr().out
    assert "take hibari" in shown
    assert not (tmp_path / "voices.json").exists()
