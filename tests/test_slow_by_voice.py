"""A slow function asked for by voice, on a virtual card: told aloud once it is done, also by the next start."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from device.appliance import LATE_SENTENCE
from device.functions.contract import StillWorking
from tests.house_rig import recorded
from tests.live_rig import Appliance, appliance
from tests.slow_rig import gate
from tests.virtual_card import missing, virtual_card, wait_until

pytestmark = [pytest.mark.sound, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

SENTENCES = "intents: {slowBooking: {sentences: ['look for [a|the] [free] table']}}"
READY = "Your table is ready."


def told(running: Appliance, mark: int, text: str) -> None:
    running.wait_for("ReplyFinished", after=mark, where=lambda entry: entry["heard"] == text)


def test_told_aloud_when_it_is_done_and_after_a_kill_by_the_next_start(tmp_path: Path) -> None:
    functions = tmp_path / "a" / "functions"
    with gate() as held, virtual_card() as card:
        held.write_function(functions)
        (functions / "slow.yaml").write_text(SENTENCES)
        given = {"paths__extensions": str(functions), "web__port": "0"}
        with appliance(tmp_path / "a", card.env, **given) as running:
            running.wait_to_hear()
            mark = running.request(card, "Look for a free table.")
            told(running, mark, StillWorking.sentence)
            first = held.begun()
            mark = running.mark
            running.request(card, "What time is it?")
            running.wait_for("ReplyFinished", after=mark, where=lambda entry: entry["heard"].startswith("It's "))
            mark = running.mark
            first.close()
            told(running, mark, READY)
            wait_until(lambda: running.unheard() == [], 10, "it counts as heard")
            mark = running.request(card, "Look for a free table.")
            told(running, mark, StillWorking.sentence)
            second = held.begun()
            running.end(signal.SIGKILL)
            second.close()
        with appliance(tmp_path / "a", card.env, **given) as running:
            third, mark = held.begun(), running.mark
            third.close()
            told(running, mark, READY)
            wait_until(lambda: running.unheard() == [], 10, "it counts as heard")
            assert len(running.appointments()) == 2
            assert running.end() == 0
            assert [text for text in running.said() if text in (READY, LATE_SENTENCE)] == [READY] * 2
    calls = [call for call in recorded(tmp_path / "a") if call.name == "slowBooking"]
    assert [(call.origin, call.state) for call in calls] == [("voice", "done")] * 2
