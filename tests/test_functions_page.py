"""docs/builtin.md is what the functions say about themselves: a page that was written by hand would go stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "builtin.md"
MAKE = "wakeline functions export --format markdown --out docs/builtin.md"


def test_the_page_is_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wakeline.toml").write_text(f'[paths]\nstate_dir = "{tmp_path}/state"\n')
    command = ["--config", str(tmp_path / "wakeline.toml"), "functions", "export", "--format", "markdown"]
    assert main([*command, "--out", "page.md"]) == 0
    assert (tmp_path / "page.md").read_text() == PAGE.read_text(), f"make it again: {MAKE}"
