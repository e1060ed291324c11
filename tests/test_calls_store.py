"""Escalations with the real store: a crash while placing, a new start, and what the table says afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from device.calls.attempts import Attempt
from device.calls.escalation import Escalation
from device.calls.link import Destination
from device.calls.policy import Budget
from device.calls.practice import PracticeLink
from device.functions.sqlite_store import SqliteStore
from tests.doubles.house import Hours

AT = 1_764_000_000.25


def test_an_attempt_survives_a_crash_and_is_told_once(tmp_path: Path) -> None:
    attempt = Attempt("a1", AT, "nurse", "practice", "+12025550143", emergency=True)
    before = SqliteStore(tmp_path / "wakeline.db")
    before.record_call(attempt)
    before.close()

    store, hours = SqliteStore(tmp_path / "wakeline.db"), Hours(AT + 5)
    assert store.open_calls() == [attempt], "an uncertain call is searched by time and number"
    link = PracticeLink(sleep=hours.sleep)
    escalation = Escalation({"practice": link}, store, lambda event: None, budget=Budget(1), clock=hours.clock())
    (outcome,) = asyncio.run(escalation.resume())
    assert (outcome.code, link.requests, store.open_calls()) == ("link-uncertain", 0, [])
    assert asyncio.run(escalation.resume()) == []

    desk = Destination("front desk", "practice")
    assert asyncio.run(escalation.place(desk, "why")).code == "call-budget-spent", "the old attempt counts"
    hours.waited.append(3600.0)
    assert asyncio.run(escalation.place(desk, "why")).code == "call-completed"
    assert (store.count_calls_since(AT), store.open_calls()) == (2, [])
    store.close()
