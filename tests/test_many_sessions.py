"""Sessions through the whole web part leave nothing; `python -m tools.many_sessions` has a hundred thousand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools.many_sessions import Sample, faults

ROOT = Path(__file__).parent.parent


@pytest.mark.calls
def test_sessions_leave_nothing_in_memory_and_little_on_the_disk(tmp_path: Path) -> None:
    """In a process of its own: what other tests have left behind comes and goes."""
    out = tmp_path / "samples.json"
    command = [sys.executable, "-m", "tools.many_sessions", "--sessions", "1600", "--every", "400", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, timeout=120, check=False, stdout=subprocess.DEVNULL)
    samples = [Sample(**sample) for sample in json.loads(out.read_text())["samples"]]
    assert [sample.sessions for sample in samples] == [400, 800, 1200, 1600]
    assert [sample.live for sample in samples] == [0] * 4
    assert samples[-1].blocks - samples[1].blocks < 800, f"less than one object a session: {samples}"
    assert samples[-1].disk_mb < 1.5 * samples[1].disk_mb, samples


def test_what_grows_is_told() -> None:
    flat = Sample(1, 1.0, 100.0, 1000, 0, 5.0)
    assert faults([flat] * 3) == []
    for grown in (
        replace(flat, live=1),
        replace(flat, rss_mb=106),
        replace(flat, blocks=1011),
        replace(flat, disk_mb=8),
    ):
        assert len(faults([flat, flat, grown])) == 1
    assert faults([flat]) != []
