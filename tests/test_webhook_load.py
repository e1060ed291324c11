"""The load, its ledger and the comparison: what is planted is found, and a small load through the command is clean."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from device.bench.compare import Verdict, compare, percentile
from device.bench.plan import Kind, Sending, Shape, plan
from device.bench.sender import Entry, Sender, Target, write_ledger

TODAY = date(2026, 3, 10)
SMALL = Shape(calls=20, events=400, seed=3)
Answers = Callable[[bytes], bytes | None]


# -- the plan ---------------------------------------------------------------------------------------------------------
def test_a_plan_comes_from_its_seed_alone() -> None:
    assert plan(SMALL, TODAY) == plan(SMALL, TODAY)
    assert plan(SMALL, TODAY) != plan(replace(SMALL, seed=4), TODAY)


def test_a_plan_has_the_proportions_that_were_asked_for() -> None:
    sendings = plan(Shape(), TODAY)
    first = [sending.event for sending in sendings if not sending.again]
    kinds = Counter(event.kind for event in first)
    assert len(first) == 20_000
    assert len(sendings) == 24_000
    assert sum(count for kind, count in kinds.items() if kind.effect) == 6000
    assert (kinds[Kind.SLOW], kinds[Kind.READ], kinds[Kind.NOTICE]) == (1000, 4000, 10_000)
    assert len({event.call for event in first}) == 1000
    assert len({event.body for event in first}) == len(first), "no two events are taken for one"


def test_what_is_sent_again_was_sent_before_and_some_of_it_late() -> None:
    sendings = plan(Shape(), TODAY)
    at = {sending.event.index: place for place, sending in enumerate(sendings) if not sending.again}
    distances = [place - at[sending.event.index] for place, sending in enumerate(sendings) if sending.again]
    assert min(distances) > 0
    assert sum(distance > 1000 for distance in distances) > 1000
    assert sum(distance < 50 for distance in distances) > 1000


def test_every_booking_has_a_slot_of_its_own_and_effects_are_numbered() -> None:
    events = [sending.event for sending in plan(Shape(), TODAY) if not sending.again]
    slots: Counter[tuple[str, str]] = Counter()
    numbers: dict[str, int] = {}
    for event in events:
        if event.kind.effect:
            assert event.number == numbers.get(event.call, -1) + 1
            numbers[event.call] = event.number
        if event.kind is Kind.BOOKING:
            arguments = json.loads(event.body)["message"]["toolCallList"][0]["function"]["arguments"]
            arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
            slots[arguments["date"], arguments["time"]] += 1
    assert len(slots) == 1000
    assert set(slots.values()) == {1}


# -- the comparison ---------------------------------------------------------------------------------------------------
class Planted:
    """A ledger and a database that agree, until a test spoils one."""

    def __init__(self, folder: Path) -> None:
        self.ledger, self.database, self.witness = folder / "ledger", folder / "db", folder / "witness"
        self.sender = Sender(Target(0, b""), [])
        self.lines: list[tuple[str, str]] = []
        self.states: dict[str, str] = {}
        self.sessions = {"vapi:c-1"}
        self.ran: list[str] = []
        for index, kind in enumerate((Kind.LINE, Kind.BOOKING, Kind.SLOW, Kind.READ, Kind.NOTICE, Kind.LINE)):
            id = "" if kind is Kind.NOTICE else f"vapi:c-1:t-{index}"
            answer = "none" if kind is Kind.NOTICE else "result"
            entry = Entry(index, id, "c-1", kind.value, index, took_ms=5.0, attempts=1, answer=answer)
            self.sender.entries[index] = entry
            if kind.effect:
                self.states[id] = "done"
            if kind in (Kind.LINE, Kind.BOOKING):
                self.lines.append((f"2026-03-11 {index:02}:00", id))
            if kind in (Kind.LINE, Kind.SLOW):
                self.ran.append(id)

    def verdict(self) -> Verdict:
        write_ledger(self.ledger, self.sender, 2.0)
        self.witness.write_text("\n".join(self.ran))
        connection = sqlite3.connect(self.database)
        connection.execute("CREATE TABLE function_calls(id TEXT, state TEXT)")
        connection.execute("CREATE TABLE sessions(id TEXT)")
        connection.execute(
            "CREATE TABLE appointments(id INTEGER PRIMARY KEY, starts TEXT, call_id TEXT, name TEXT DEFAULT 'Load',"
            " state TEXT DEFAULT 'booked')"
        )
        connection.executemany("INSERT INTO function_calls VALUES(?, ?)", self.states.items())
        connection.executemany("INSERT INTO sessions VALUES(?)", [(id,) for id in self.sessions])
        connection.executemany("INSERT INTO appointments(starts, call_id) VALUES(?, ?)", self.lines)
        connection.commit()
        connection.close()
        return compare(self.ledger, self.database, self.witness)


def test_what_agrees_is_clean(tmp_path: Path) -> None:
    verdict = Planted(tmp_path).verdict()
    assert verdict.clean, verdict.shown()
    assert (verdict.events, verdict.effects) == (6, 4)


SPOILED: list[tuple[str, Callable[[Planted], object], str]] = [
    ("lost", lambda planted: planted.lines.pop(), "has left nothing"),
    ("lost", lambda planted: planted.states.pop("vapi:c-1:t-2"), "is recorded as nothing"),
    ("lost", lambda planted: planted.states.update({"vapi:c-1:t-2": "running"}), "is recorded as running"),
    ("lost", lambda planted: planted.sessions.clear(), "session of c-1"),
    ("lost", lambda planted: setattr(planted.sender.entries[3], "took_ms", -1.0), "never answered"),
    ("lost", lambda planted: planted.ran.remove("vapi:c-1:t-2"), "ran 0 times"),
    ("duplicated", lambda planted: planted.ran.append("vapi:c-1:t-2"), "ran 2 times"),
    ("duplicated", lambda planted: planted.lines.append(("2026-03-12 01:00", "vapi:c-1:t-5")), "has left 2 lines"),
    ("duplicated", lambda planted: planted.lines.append((planted.lines[0][0], "")), "is booked 2 times"),
    ("disordered", lambda planted: planted.lines.reverse(), "came after number"),
    ("errors", lambda planted: planted.lines.append(("2026-03-12 01:00", "vapi:c-9:t-1")), "never sent"),
    ("errors", lambda planted: setattr(planted.sender.entries[0], "answer", "none"), "without a result"),
    ("errors", lambda planted: planted.sender.entries[4].faults.append("status 500"), "status 500"),
]


@pytest.mark.parametrize(("kind", "spoil", "words"), SPOILED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_does_not_agree_is_found(
    tmp_path: Path, kind: str, spoil: Callable[[Planted], object], words: str
) -> None:
    planted = Planted(tmp_path)
    spoil(planted)
    verdict = planted.verdict()
    assert any(words in line for line in getattr(verdict, kind)), verdict.shown()


def test_percentiles() -> None:
    assert percentile([], 0.99) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(101)), 0.99) == 99


# -- the sender against servers of all kinds --------------------------------------------------------------------------
async def _against(answers: Answers, sendings: list[Sending]) -> Sender:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split("\r")[0])
                body = await reader.readexactly(length)
                answer = answers(body)
                if answer is None:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sender = Sender(Target(port, b"secret", in_flight=8, patience_s=5), sendings)
        await sender.run()
    return sender


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.calls
def test_a_server_that_closes_and_refuses_now_and_then_is_asked_again() -> None:
    asked: Counter[bytes] = Counter()

    def answers(body: bytes) -> bytes | None:
        asked[body] += 1
        if asked[body] == 1:
            return None if len(body) % 2 else b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
        return _ok(b"{}")

    sendings = [s for s in plan(Shape(calls=4, events=24, effects=0, slow=0, reads=0), TODAY) if not s.again]
    sender = asyncio.run(_against(answers, sendings))
    assert [entry.faults for entry in sender.entries.values()] == [[]] * 24
    assert set(asked.values()) == {2}


@pytest.mark.calls
def test_another_answer_to_the_same_event_is_an_error() -> None:
    count = iter(range(1000))
    sendings = plan(Shape(calls=2, events=10, effects=0, slow=0, reads=0, again=1), TODAY)
    sender = asyncio.run(_against(lambda body: _ok(b'{"n":%d}' % next(count)), sendings))
    assert all(entry.faults == ["another answer when sent again"] for entry in sender.entries.values())


# -- the command ------------------------------------------------------------------------------------------------------
@pytest.mark.service
def test_a_small_load_through_the_command_is_clean(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "device.cli", "bench", "webhooks", "--json", "--calls", "50", "--events", "1000"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    wanted = ("calls", "events", "lost", "duplicated", "disordered", "errors")
    assert [figures[key] for key in wanted] == [50, 1000, 0, 0, 0, 0]
    assert figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert 0 < figures["ratio"] < 1.5
