"""The SQL of the store: rows to values and back, on a connection whose transaction somebody else owns."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from typing import Any

from device.calls.attempts import Attempt
from device.functions.sqlite_web import WebReading, WebWriting
from device.functions.store import Appointment, RecordedCall, Timer, Unheard
from device.functions.times import read, stamp

_APPOINTMENT = "id, starts, minutes, zone, name, people, state, created, call_id"
_FUNCTION = "id, name, arguments, origin, session, state, value, error_code, sentence, created"
_RECORD = f"""INSERT INTO function_calls({_FUNCTION}, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(id) DO UPDATE SET state = excluded.state, value = excluded.value, error_code = excluded.error_code,
    sentence = excluded.sentence WHERE state = 'running'"""
_CALL = "id, created, destination, link, address, emergency, vendor_id, cause, code, detail, answered, ended"


class SqliteReading(WebReading):
    """Implements `Reading`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def function_call(self, id: str) -> RecordedCall | None:
        row = self._db.execute(f"SELECT {_FUNCTION} FROM function_calls WHERE id = ?", (id,)).fetchone()
        return None if row is None else _function(row)

    def function_calls(self, session: str | None = None, *, most: int = 1000) -> list[RecordedCall]:
        return self._function_calls("?1 IS NULL OR session = ?1", "created DESC, rowid DESC", session, most)

    def running_calls(self) -> list[RecordedCall]:
        return self._function_calls("told = 'waiting' AND state = 'running'", "created, rowid", None, -1)

    def undelivered(self, session: str | None = None) -> list[RecordedCall]:
        which = "told = 'waiting' AND state != 'running' AND (?1 IS NULL OR session = ?1)"
        return self._function_calls(which, "created, rowid", session, -1)

    def _function_calls(self, which: str, order: str, session: str | None, most: int) -> list[RecordedCall]:
        statement = f"SELECT {_FUNCTION} FROM function_calls WHERE {which} ORDER BY {order} LIMIT ?2"
        return [_function(row) for row in self._db.execute(statement, (session, most))]

    def appointments(
        self, start: datetime | None = None, end: datetime | None = None, *, cancelled: bool = False
    ) -> list[Appointment]:
        # The end is in no column: no appointment is longer than a day, the rest is sorted out here.
        rows = self._db.execute(
            f"SELECT {_APPOINTMENT} FROM appointments"
            " WHERE starts > ? AND starts < ? AND state IN ('booked', ?) ORDER BY starts, id",
            (
                stamp(start - timedelta(days=1)) if start else "",
                stamp(end) if end else "9999",
                "cancelled" if cancelled else "booked",
            ),
        )
        found = [_appointment(row) for row in rows]
        return [one for one in found if start is None or one.starts + timedelta(minutes=one.minutes) > start]

    def appointment(self, id: int) -> Appointment | None:
        row = self._db.execute(f"SELECT {_APPOINTMENT} FROM appointments WHERE id = ?", (id,)).fetchone()
        return None if row is None else _appointment(row)

    def timers(self) -> list[Timer]:
        rows = self._db.execute("SELECT id, name, seconds, ends FROM timers WHERE state = 'running' ORDER BY ends, id")
        return [Timer(row[0], row[1], row[2], read(row[3])) for row in rows]

    def setting(self, name: str, default: int) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (f"setting-{name}",)).fetchone()
        return default if row is None else int(row[0])

    def unheard(self) -> list[Unheard]:
        rows = self._db.execute("SELECT reply, text, created FROM outbox WHERE heard_at IS NULL ORDER BY created")
        return [Unheard(row[0], row[1], read(row[2])) for row in rows]

    def open_calls(self) -> list[Attempt]:
        rows = self._db.execute(f"SELECT {_CALL} FROM calls WHERE state != 'ended' ORDER BY created")
        return [_attempt(row) for row in rows]

    def placed_calls(self, *, most: int = 1000) -> list[Attempt]:
        rows = self._db.execute(f"SELECT {_CALL} FROM calls ORDER BY created DESC, rowid DESC LIMIT ?", (most,))
        return [_attempt(row) for row in rows]

    def count_calls_since(self, at: float) -> int:
        return int(self._db.execute("SELECT count(*) FROM calls WHERE created >= ?", (at,)).fetchone()[0])


class SqliteWriting(SqliteReading, WebWriting):
    """Implements `Writing`, and the single steps of the store."""

    def record_function_call(self, call: RecordedCall) -> None:
        value = None if call.value is None else json.dumps(dict(call.value))
        texts = (call.id, call.name, json.dumps(dict(call.arguments)), call.origin, call.session, call.state, value)
        told = "waiting" if call.state == "running" else "at-once"
        self._db.execute(_RECORD, (*texts, call.error_code, call.sentence, stamp(call.created), told))

    def mark_delivered(self, call: str) -> bool:
        which = "UPDATE function_calls SET told = 'late' WHERE id = ? AND told = 'waiting' AND state != 'running'"
        return self._changed(which, (call,))

    def add_appointment(
        self, starts: datetime, minutes: int, zone: str, *, name: str, people: int, created: datetime, call_id: str = ""
    ) -> int:
        return self._insert(
            "INSERT INTO appointments(starts, minutes, zone, name, people, created, call_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (stamp(starts), minutes, zone, name, people, stamp(created), call_id),
        )

    def cancel_appointment(self, id: int) -> bool:
        return self._changed("UPDATE appointments SET state = 'cancelled' WHERE id = ? AND state = 'booked'", (id,))

    def add_timer(self, name: str, seconds: int, ends: datetime, created: datetime) -> int:
        return self._insert(
            "INSERT INTO timers(name, seconds, ends, state, created) VALUES (?, ?, ?, 'running', ?) RETURNING id",
            (name, seconds, stamp(ends), stamp(created)),
        )

    def stop_timer(self, id: int) -> bool:
        return self._changed("UPDATE timers SET state = 'stopped' WHERE id = ? AND state = 'running'", (id,))

    def add_unheard(self, reply: str, text: str, created: datetime) -> None:
        self._db.execute("INSERT INTO outbox(reply, text, created) VALUES (?, ?, ?)", (reply, text, stamp(created)))

    def mark_heard(self, reply: str, at: datetime) -> bool:
        return self._changed("UPDATE outbox SET heard_at = ? WHERE reply = ? AND heard_at IS NULL", (stamp(at), reply))

    def record_call(self, attempt: Attempt) -> None:
        who = (attempt.id, attempt.at, attempt.destination, attempt.link, attempt.address, attempt.emergency)
        self._db.execute(
            "INSERT INTO calls(id, created, destination, link, address, emergency, state, vendor_id)"
            " VALUES (?, ?, ?, ?, ?, ?, 'open', ?)",
            (*who, attempt.vendor_id),
        )

    def mark_call_placed(self, call: str, vendor_id: str) -> None:
        self._db.execute(
            "UPDATE calls SET vendor_id = ?, state = 'placed' WHERE id = ? AND state != 'ended'", (vendor_id, call)
        )

    def mark_call_ended(self, call: str, cause: str, code: str, detail: str, answered: bool, at: float) -> None:
        self._db.execute(
            "UPDATE calls SET state = 'ended', cause = ?, code = ?, detail = ?, answered = ?, ended = ? WHERE id = ?",
            (cause, code, detail, answered, at, call),
        )

    def set_setting(self, name: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            (f"setting-{name}", value),
        )

    def next_epoch(self) -> int:
        return self._insert(
            "INSERT INTO meta VALUES ('epoch', 1) ON CONFLICT(key) DO UPDATE SET value = value + 1 RETURNING value", ()
        )

    def _insert(self, statement: str, values: tuple[Any, ...]) -> int:
        return int(self._db.execute(statement, values).fetchone()[0])

    def _changed(self, statement: str, values: tuple[Any, ...]) -> bool:
        return self._db.execute(statement, values).rowcount > 0


def _function(row: tuple[Any, ...]) -> RecordedCall:
    id, name, arguments, origin, session, state, value, error_code, sentence, created = row
    return RecordedCall(
        id=id,
        name=name,
        arguments=json.loads(arguments),
        origin=origin,
        session=session,
        state=state,
        value=None if value is None else json.loads(value),
        error_code=error_code,
        sentence=sentence,
        created=read(created),
    )


def _appointment(row: tuple[Any, ...]) -> Appointment:
    id, starts, minutes, zone, name, people, state, created, call_id = row
    return Appointment(
        id=id,
        starts=read(starts),
        minutes=minutes,
        zone=zone,
        name=name,
        people=people,
        state=state,
        created=read(created),
        call_id=call_id,
    )


def _attempt(row: tuple[Any, ...]) -> Attempt:
    id, at, destination, link, address, emergency, vendor_id, cause, code, detail, answered, ended = row
    return Attempt(
        id=id,
        at=at,
        destination=destination,
        link=link,
        address=address,
        emergency=bool(emergency),
        vendor_id=vendor_id,
        cause=cause,
        code=code,
        detail=detail,
        answered=bool(answered),
        ended_at=ended,
    )
