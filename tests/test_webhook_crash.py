"""kill -9 in the middle of a load: what was acknowledged stays, what was not is done once when it is sent again."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.bench.plan import Shape
from tools import webhook_crash

pytestmark = pytest.mark.service
KILLS = 20


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    toll = webhook_crash.run(KILLS, Shape(calls=100, events=1600, seed=20), tmp_path)
    assert len(toll.back_s) == KILLS
    assert toll.verdict.effects == 480
    assert sum(toll.under_way) > KILLS, "they struck while something was under way"
    assert toll.verdict.shown() == []
    assert "Traceback" not in (tmp_path / "place" / "log").read_text()
