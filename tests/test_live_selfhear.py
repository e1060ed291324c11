"""The appliance does not hear itself: replies over an echo path (`python -m tools.selfhear` measures more of them)."""

from __future__ import annotations

import pytest

from tests.virtual_card import missing
from tools.selfhear import measure

pytestmark = [pytest.mark.sound, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def test_its_own_voice_cuts_no_reply_and_begins_no_turn() -> None:
    counts = measure(4, "hibari", loopback_ms=60, window_ms=1000)
    assert counts.finished == 4
    assert counts.clean, (counts.cut, counts.begun)
