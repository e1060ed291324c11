"""The store: what is kept is kept once, in every failure."""

from __future__ import annotations

import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.calls.attempts import Attempt
from device.functions.contract import StoreFailed
from device.functions.migrations import STEPS, VERSION
from device.functions.sqlite_store import SqliteStore
from device.functions.store import RecordedCall
from device.functions.times import stamp

NOW = datetime(2026, 12, 1, 14, 20, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "state" / "wakeline.db", wait_s=0.05)


def recorded(id: str = "a", created: datetime = NOW) -> RecordedCall:
    return RecordedCall(id, "getTime", {"x": [1, None]}, "voice", "s", "done", {"y": "ä"}, "", "It's noon.", created)


def book(store: SqliteStore, starts: datetime = NOW, minutes: int = 30) -> int:
    with store.transaction() as writing:
        return writing.add_appointment(starts, minutes, "Europe/Berlin", name="Anna", people=2, created=NOW)


def test_it_is_written_through_and_for_its_owner_alone(store: SqliteStore) -> None:
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_transaction_is_all_or_nothing(store: SqliteStore) -> None:
    class Fault(Exception):
        pass

    with pytest.raises(Fault), store.transaction() as writing:  # noqa: PT012
        writing.record_function_call(recorded())
        writing.add_unheard("a", "It's noon.", NOW)
        raise Fault
    with store.reading() as reading:
        assert reading.function_call("a") is None
    assert store.unheard() == []


def test_what_was_recorded_is_read_back_the_same(store: SqliteStore) -> None:
    with store.transaction() as writing:
        writing.record_function_call(recorded())
    store.close()
    again = SqliteStore(store.path)
    with again.reading() as reading:
        assert reading.function_call("a") == recorded()


def test_epochs_never_repeat(store: SqliteStore) -> None:
    first = [store.next_epoch() for _ in range(3)]
    store.close()
    assert [*first, SqliteStore(store.path).next_epoch()] == [1, 2, 3, 4]


def test_a_result_waits_until_it_was_heard(store: SqliteStore) -> None:
    with store.transaction() as writing:
        writing.add_unheard("b", "Booked.", NOW + timedelta(seconds=1))
        writing.add_unheard("a", "Timer set.", NOW)
    assert [waiting.reply for waiting in store.unheard()] == ["a", "b"]
    assert store.mark_heard("a", NOW)
    assert not store.mark_heard("a", NOW)
    assert not store.mark_heard("unknown", NOW)
    assert [waiting.reply for waiting in store.unheard()] == ["b"]


def test_timers_run_until_they_are_stopped(store: SqliteStore) -> None:
    with store.transaction() as writing:
        late = writing.add_timer("", 600, NOW + timedelta(seconds=600), NOW)
        soon = writing.add_timer("tea", 60, NOW + timedelta(seconds=60), NOW)
    assert [timer.id for timer in store.timers()] == [soon, late]
    assert store.stop_timer(soon)
    assert not store.stop_timer(soon)
    assert [timer.id for timer in store.timers()] == [late]


def test_attempts_to_call_are_kept(store: SqliteStore) -> None:
    attempt = Attempt("c", 1000.5, "front desk", "vapi", "+12025550143", emergency=True)
    store.record_call(attempt)
    assert store.open_calls() == [attempt]
    store.mark_call_placed("c", "vendor")
    assert store.open_calls()[0].vendor_id == "vendor"
    assert (store.count_calls_since(1000.5), store.count_calls_since(1000.6)) == (1, 0)
    store.mark_call_ended("c", "completed", "call-completed", "ok", True, 1010.0)
    assert store.open_calls() == []
    assert store.count_calls_since(0) == 1


@settings(deadline=None)
@given(st.integers(-2000, 2000), st.integers(5, 1440), st.integers(-2000, 2000), st.integers(1, 1440))
def test_appointments_that_overlap_are_found(begins: int, minutes: int, start: int, length: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in (statement for step in STEPS for statement in step):
        connection.execute(statement)
    from device.functions.sqlite_tables import SqliteWriting

    writing = SqliteWriting(connection)
    at = NOW + timedelta(minutes=begins)
    writing.add_appointment(at, minutes, "UTC", name="", people=1, created=NOW)
    since, until = NOW + timedelta(minutes=start), NOW + timedelta(minutes=start + length)
    overlaps = at < until and at + timedelta(minutes=minutes) > since
    assert bool(writing.appointments(since, until)) == overlaps
    connection.close()


def test_a_cancelled_appointment_is_gone_but_kept(store: SqliteStore) -> None:
    id = book(store)
    with store.transaction() as writing:
        assert writing.cancel_appointment(id)
        assert not writing.cancel_appointment(id)
        assert writing.appointments() == []
        assert [one.state for one in writing.appointments(cancelled=True)] == ["cancelled"]


def test_pruning_keeps_what_somebody_may_ask_for(store: SqliteStore) -> None:
    with store.transaction() as writing:
        for id in ("old", "waiting", "new"):
            writing.record_function_call(recorded(id, NOW if id == "new" else NOW - timedelta(days=40)))
        writing.add_unheard("waiting", "Booked.", NOW - timedelta(days=40))
    kept = book(store, NOW - timedelta(days=400))
    store.record_call(Attempt("open", 0.0, "x", "practice", ""))
    assert store.prune(NOW - timedelta(days=30)) == 1
    with store.reading() as reading:
        assert [reading.function_call(id) is not None for id in ("old", "waiting", "new")] == [False, True, True]
        assert reading.appointment(kept) is not None
    assert len(store.open_calls()) == 1


# -- versions -----------------------------------------------------------------------------------------------------
def version_one(path: Path) -> None:
    connection = sqlite3.connect(path)
    for statement in STEPS[0]:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO appointments(starts, minutes, name, created) VALUES (?, 45, 'Anna', ?)", (stamp(NOW), stamp(NOW))
    )
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def test_a_book_of_version_1_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "wakeline.db"
    version_one(path)
    store = SqliteStore(path)
    with store.reading() as reading:
        (one,) = reading.appointments()
    assert (one.starts, one.minutes, one.name, one.people, one.state, one.zone) == (NOW, 45, "Anna", 1, "booked", "UTC")
    assert store.next_epoch() == 1
    assert book(store) == one.id + 1
    store.close()
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_calls_of_version_2_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "wakeline.db"
    connection = sqlite3.connect(path)
    for statement in (statement for step in STEPS[:2] for statement in step):
        connection.execute(statement)
    values = ("a", "getTime", '{"x": [1, null]}', "voice", "s", "done", '{"y": "\u00e4"}', "", "It's noon.", stamp(NOW))
    connection.execute(f"INSERT INTO function_calls VALUES ({', '.join('?' * len(values))})", values)
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    with store.reading() as reading:
        assert reading.function_call("a") == recorded()
        assert reading.undelivered() == reading.running_calls() == []
    store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wakeline.db"
    version_one(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE timers(something)")  # in the way of version 2
    connection.commit()
    with pytest.raises(StoreFailed):
        SqliteStore(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(connection.execute("PRAGMA table_info(appointments)").fetchall()) == 5


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "wakeline.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.commit()
    with pytest.raises(StoreFailed, match="newer") as caught:
        SqliteStore(path)
    assert caught.value.code == "store-failed"
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


# -- failures -----------------------------------------------------------------------------------------------------
def test_locked_by_another_process(store: SqliteStore) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked"):
        store.next_epoch()
    assert store.timers() == []  # reading goes on
    other.execute("ROLLBACK")
    assert store.next_epoch() == 1


def test_locked_by_another_thread(store: SqliteStore) -> None:
    found: list[BaseException] = []

    def write() -> None:
        try:
            store.next_epoch()
        except StoreFailed as error:
            found.append(error)

    with store.transaction():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert "locked" in str(found[0])


def test_full(store: SqliteStore) -> None:
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFailed, match="full"), store.transaction() as writing:
        writing.add_unheard("big", "x" * 100_000, NOW)
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert store.unheard() == []
    assert store.next_epoch() == 1


def test_read_only(store: SqliteStore) -> None:
    store._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreFailed, match="read-only"):
        store.next_epoch()


def test_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "wakeline.db"
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 50)
    with pytest.raises(StoreFailed, match="is no database"):
        SqliteStore(path)
    assert path.read_bytes().startswith(b"no database")


def test_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="cannot be opened"):
        SqliteStore(tmp_path / "file" / "wakeline.db")


def test_closed(store: SqliteStore) -> None:
    store.close()
    with pytest.raises(StoreFailed):
        store.next_epoch()
    with pytest.raises(StoreFailed):
        store.timers()


def test_a_view_does_not_change_while_somebody_writes(store: SqliteStore) -> None:
    book(store)
    with store.reading() as reading:
        before = reading.appointments()
        book(store, NOW + timedelta(hours=1))
        assert reading.appointments() == before
    with store.reading() as reading:
        assert len(reading.appointments()) == 2


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        stamp(datetime(2026, 1, 1))
