"""Group commit: many writers, one fsync, each undone alone; and what comes from outside in the store."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.functions.contract import StoreFailed
from device.functions.group import Group
from device.functions.sqlite_prune import AT_ONCE, prune_some
from device.functions.sqlite_store import SqliteStore
from device.functions.store import Answered, RecordedCall, Writing

NOW = datetime(2026, 12, 1, 14, 20, tzinfo=UTC)
DEADLINE = 10


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "wakeline.db", wait_s=5)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Members of every group that was committed."""
    seen: list[int] = []
    finish = Group._finish

    def counted(group: Group, commit: object, lost: object) -> None:
        seen.append(commit.members)  # type: ignore[attr-defined]
        finish(group, commit, lost)  # type: ignore[arg-type]

    monkeypatch.setattr(Group, "_finish", counted)
    return seen


def names(store: SqliteStore) -> list[str]:
    return sorted(timer.name for timer in store.timers())


def add(store: Writing, name: str) -> int:
    return store.add_timer(name, 1, NOW, NOW)


def test_threads_that_come_while_one_is_inside_share_its_commit(store: SqliteStore, commits: list[int]) -> None:
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with store.transaction() as writing:
            inside.set()
            assert go.wait(DEADLINE)
            add(writing, "first")

    def other(name: str) -> None:
        with store.transaction() as writing:
            add(writing, name)

    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(first)]
        assert inside.wait(DEADLINE)
        waiting += [pool.submit(other, f"n{n}") for n in range(8)]
        while len(store._group._waiting) < 8:
            threading.Event().wait(0.001)
        go.set()
        for one in waiting:
            one.result(DEADLINE)
    # A slow machine lets the first one go alone: what is done does not wait for long.
    assert sum(commits) == 9
    assert len(commits) <= 2
    assert len(names(store)) == 9


def test_one_that_fails_is_undone_alone(store: SqliteStore) -> None:
    def bad(writing: Writing) -> None:
        add(writing, "bad")
        raise ValueError("no")

    futures = [store.submit(lambda writing: add(writing, "a")), store.submit(bad)]
    futures.append(store.submit(lambda writing: add(writing, "b")))
    assert isinstance(futures[1].exception(DEADLINE), ValueError)
    assert isinstance(futures[0].result(DEADLINE), int)
    assert isinstance(futures[2].result(DEADLINE), int)
    assert names(store) == ["a", "b"]


def test_nobody_is_told_before_the_commit(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Group._finish
    at, go = threading.Event(), threading.Event()

    def slow(group: Group, commit: object, lost: object) -> None:
        at.set()
        assert go.wait(DEADLINE)
        finish(group, commit, lost)  # type: ignore[arg-type]

    monkeypatch.setattr(Group, "_finish", slow)
    future = store.submit(lambda writing: add(writing, "a"))
    assert at.wait(DEADLINE)
    assert not future.done()
    assert names(store) == []
    go.set()
    future.result(DEADLINE)
    assert names(store) == ["a"]


def test_a_commit_that_fails_fails_the_whole_group(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, real: sqlite3.Connection) -> None:
            self._real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def execute(self, statement: str, *values: object) -> object:
            if statement == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return self._real.execute(statement, *values)

    real = store._group._db
    monkeypatch.setattr(store._group, "_db", Full(real))
    futures = [store.submit(lambda writing, n=n: add(writing, f"n{n}")) for n in range(5)]
    assert all(isinstance(future.exception(DEADLINE), StoreFailed) for future in futures)
    monkeypatch.setattr(store._group, "_db", real)
    store.submit(lambda writing: add(writing, "after")).result(DEADLINE)
    assert names(store) == ["after"]


def test_what_is_urgent_goes_first(store: SqliteStore) -> None:
    order: list[str] = []
    with store.transaction():
        store.submit(lambda writing: order.append("x"))
        while not store._group._waiting:
            threading.Event().wait(0.001)
        futures = [store.submit(lambda writing, n=n: order.append(f"n{n}")) for n in range(3)]
        futures.append(store.submit(lambda writing: order.append("now"), urgent=True))
    for future in futures:
        future.result(DEADLINE)
    assert order == ["x", "now", "n0", "n1", "n2"]


def test_what_was_handed_in_is_done_before_the_store_closes_and_then_refused(store: SqliteStore) -> None:
    futures = [store.submit(lambda writing, n=n: add(writing, f"n{n}")) for n in range(50)]
    store.close()
    assert all(future.result(0) for future in futures)
    assert isinstance(store.submit(lambda writing: None).exception(DEADLINE), StoreFailed)
    assert len(names(SqliteStore(store.path))) == 50


def record(id: str, state: str, **more: object) -> RecordedCall:
    values: dict[str, object] = {"value": None, "error_code": "", "sentence": "", "session": "s", "created": NOW}
    return RecordedCall(id=id, name="f", arguments={}, origin="call", state=state, **{**values, **more})  # type: ignore[arg-type]


def test_a_running_call_is_kept_until_its_end_was_told(store: SqliteStore) -> None:
    with store.transaction() as writing:
        writing.record_function_call(record("a", "running"))
        writing.record_function_call(record("b", "done", value={"x": 1}))
    with store.reading() as reading:
        assert [call.id for call in reading.running_calls()] == ["a"]
        assert reading.undelivered() == []
    store.prune(NOW + timedelta(days=1))
    with store.transaction() as writing:
        writing.record_function_call(record("a", "done", value={"x": 2}, sentence="Done."))
        writing.record_function_call(record("a", "failed"))
    with store.reading() as reading:
        assert reading.running_calls() == []
        (late,) = reading.undelivered("s")
        assert (late.id, late.value, late.state) == ("a", {"x": 2}, "done"), "the first end stays"
    with store.transaction() as writing:
        assert writing.mark_delivered("a")
        assert not writing.mark_delivered("a")
    with store.reading() as reading:
        assert reading.undelivered() == []
        assert [call.id for call in reading.function_calls("s")] == ["a"], "b was old and was told at once"


def test_an_answer_is_kept_as_it_was_first(store: SqliteStore) -> None:
    with store.transaction() as writing:
        writing.record_answered(Answered("d", 200, "application/json", b'{"a":1}', NOW))
        writing.record_answered(Answered("d", 500, "text/plain", b"", NOW))
    with store.reading() as reading:
        assert reading.answered("d") == Answered("d", 200, "application/json", b'{"a":1}', NOW)
        assert reading.answered("e") is None
    store.prune(NOW + timedelta(days=1))
    with store.reading() as reading:
        assert reading.answered("d") is None


@settings(deadline=None)
@given(st.permutations([(n, state) for n, state in enumerate(["queued", "ringing", "in-progress", "completed"])]))
def test_a_session_keeps_its_order_however_it_arrives(tmp_path_factory: pytest.TempPathFactory, order: list) -> None:  # type: ignore[type-arg]
    store = SqliteStore(tmp_path_factory.mktemp("store") / "wakeline.db")
    with store.transaction() as writing:
        writing.open_session("s", "twilio", NOW)
        writing.open_session("s", "vapi", NOW + timedelta(1))
        for number, state in [*order, order[0]]:
            known = number in [event.number for event in writing.session_events("s")]
            assert writing.note_session("s", "status", state, NOW, number=number) is not known
            writing.set_session_state("s", state)
            if state == "completed" and not known:
                assert writing.close_session("s", "completed", "", NOW)
        assert not writing.close_session("s", "again", "", NOW)
    with store.reading() as reading:
        assert [event.detail for event in reading.session_events("s")] == [
            "queued", "ringing", "in-progress", "completed",
        ]  # fmt: skip
        (session,) = reading.sessions()
        assert (session.provider, session.state, session.reason, session.ended) == ("twilio", "ended", "completed", NOW)
    store.close()


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (["in-progress", "ringing", "queued"], "in-progress"),
        (["ringing", "in-progress", "forwarding", "in-progress"], "forwarding"),
        (["busy", "ringing", "completed"], "busy"),
        (["ringing", "paused"], "paused"),
        (["ended", "paused"], "ended"),
    ],
)
def test_a_word_that_comes_late_changes_nothing(store: SqliteStore, words: list[str], state: str) -> None:
    with store.transaction() as writing:
        writing.open_session("s", "vapi", NOW)
        for word in words:
            writing.set_session_state("s", word)
        session = writing.session("s")
    assert session is not None
    assert session.state == state


def test_events_without_a_number_are_in_the_order_of_their_arrival(store: SqliteStore) -> None:
    with store.transaction() as writing:
        for kind in ("a", "b", "c"):
            assert writing.note_session("s", kind, "", NOW)
    with store.reading() as reading:
        assert [(event.number, event.kind) for event in reading.session_events("s")] == [(0, "a"), (1, "b"), (2, "c")]


def test_forgetting_goes_in_steps_and_has_a_bound(store: SqliteStore) -> None:
    with store.transaction() as writing:
        for n in range(AT_ONCE + 500):
            writing.record_answered(Answered(f"d{n}", 200, "application/json", b"{}", NOW - timedelta(days=40)))
        for n in range(30):
            writing.record_answered(Answered(f"new{n}", 200, "application/json", b"{}", NOW + timedelta(seconds=n)))
            writing.note_session("s", "status", "", NOW, number=n)
        running = RecordedCall("r", "slow", {}, "call", "s", "running", None, "", "", NOW - timedelta(days=400))
        writing.record_function_call(running)
    assert store.prune(NOW - timedelta(days=30)) == AT_ONCE + 500
    with store._group.entered() as connection:
        assert prune_some(connection, NOW - timedelta(days=30), most_kept=10) == 20 + 20
    with store.reading() as reading:
        assert [reading.answered(f"new{n}") is None for n in range(30)] == [n < 20 for n in range(30)]
        assert [one.id for one in reading.running_calls()] == ["r"]


def test_who_joins_a_group_is_told_by_its_commit(store: SqliteStore) -> None:
    with store.joined() as (writing, committed):
        add(writing, "a")
        assert not committed.done()
    committed.result(DEADLINE)
    assert names(store) == ["a"]
    with pytest.raises(ValueError, match="no"), store.joined() as (writing, committed):  # noqa: PT012
        add(writing, "b")
        raise ValueError("no")
    assert names(store) == ["a"]
