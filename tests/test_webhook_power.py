"""Power cuts: at every sync of a recorded run, what was acknowledged is on the disk that is left."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tools import powercut

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (apt.txt)"),
]


def test_every_acknowledged_effect_survives_a_cut_at_every_sync(tmp_path: Path) -> None:
    toll = powercut.run(500, 11, tmp_path)
    assert toll.acknowledged == 500
    assert toll.boundaries > 250, "the first half syncs for each effect"
    assert toll.faults == []


def test_a_store_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """The same record, but the disk ignores the syncs of the log: the cuts must show it."""
    folder, work = tmp_path / "state", tmp_path / "disks"
    folder.mkdir()
    work.mkdir()
    trace = powercut.record(folder, 20)
    log = "".join(f"\\x{byte:02x}" for byte in b"-wal>")[: -len("\\x3e")]
    lines = [line for line in trace.read_text().splitlines(True) if not ("sync(" in line and f"{log}>" in line)]
    trace.write_text("".join(lines))
    toll = powercut.cut_everywhere(trace, folder, work, random.Random(1))
    assert any("was acknowledged and is lost" in fault for fault in toll.faults)
