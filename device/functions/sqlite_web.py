"""The SQL of what comes from outside: answered requests, sessions of the providers and their events."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final, Literal

from device.functions.store import Answered, Session, SessionEvent
from device.functions.times import read, stamp

_SESSION = "id, provider, state, started, ended, reason, summary"
_ENDED: Final = ("ended", "completed", "busy", "failed", "no-answer", "canceled")
_STAGES: Final = (
    ("scheduled", "queued"),
    ("initiated",),
    ("ringing",),
    ("in-progress", "answered"),
    ("forwarding",),
    _ENDED,
)
"""How far a call is, in the words of the providers: a word that comes late changes nothing."""


class WebReading:
    """The part of `Reading` about requests and sessions."""

    _db: sqlite3.Connection

    def answered(self, digest: str) -> Answered | None:
        row = self._db.execute(
            "SELECT status, media_type, body, created FROM answered WHERE digest = ?", (digest,)
        ).fetchone()
        return None if row is None else Answered(digest, row[0], row[1], bytes(row[2]), read(row[3]))

    def session(self, id: str) -> Session | None:
        row = self._db.execute(f"SELECT {_SESSION} FROM sessions WHERE id = ?", (id,)).fetchone()
        return None if row is None else _session(row)

    def sessions(self, *, most: int = 1000) -> list[Session]:
        rows = self._db.execute(f"SELECT {_SESSION} FROM sessions ORDER BY started DESC, id DESC LIMIT ?", (most,))
        return [_session(row) for row in rows]

    def session_events(self, session: str) -> list[SessionEvent]:
        rows = self._db.execute(
            "SELECT session, number, kind, detail, at FROM session_events WHERE session = ? ORDER BY number", (session,)
        )
        return [SessionEvent(row[0], row[1], row[2], row[3], read(row[4])) for row in rows]

    def quiet_sessions(self, provider: Literal["vapi", "twilio"], before: datetime, *, most: int = 1000) -> list[str]:
        rows = self._db.execute(
            "SELECT id FROM sessions WHERE ended IS NULL AND started < ?2 AND provider = ?1 AND NOT EXISTS"
            " (SELECT 1 FROM session_events WHERE session = sessions.id AND at >= ?2) ORDER BY started LIMIT ?3",
            (provider, stamp(before), most),
        )
        return [row[0] for row in rows]


class WebWriting(WebReading):
    """The part of `Writing` about requests and sessions."""

    def record_answered(self, answered: Answered) -> None:
        self._db.execute(
            "INSERT INTO answered VALUES (?, ?, ?, ?, ?) ON CONFLICT(digest) DO NOTHING",
            (answered.digest, answered.status, answered.media_type, answered.body, stamp(answered.created)),
        )

    def open_session(self, id: str, provider: Literal["vapi", "twilio"], at: datetime) -> None:
        self._db.execute(
            "INSERT INTO sessions(id, provider, state, started) VALUES (?, ?, 'queued', ?) ON CONFLICT(id) DO NOTHING",
            (id, provider, stamp(at)),
        )

    def note_session(self, id: str, kind: str, detail: str, at: datetime, *, number: int | None = None) -> bool:
        if number is None:
            statement = (
                "INSERT INTO session_events SELECT ?1, coalesce(max(number), -1) + 1, ?2, ?3, ?4"
                " FROM session_events WHERE session = ?1"
            )
            self._db.execute(statement, (id, kind, detail, stamp(at)))
            return True
        inserted = self._db.execute(
            "INSERT INTO session_events VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (id, number, kind, detail, stamp(at)),
        )
        return inserted.rowcount > 0

    def set_session_state(self, id: str, state: str) -> None:
        later = _later(state)
        marks = ", ".join("?" * len(later))
        self._db.execute(f"UPDATE sessions SET state = ? WHERE id = ? AND state NOT IN ({marks})", (state, id, *later))

    def close_session(self, id: str, reason: str, summary: str, at: datetime) -> bool:
        closed = self._db.execute(
            "UPDATE sessions SET state = 'ended', ended = ?, reason = ?, summary = ? WHERE id = ? AND ended IS NULL",
            (stamp(at), reason, summary, id),
        )
        return closed.rowcount > 0


def _later(state: str) -> tuple[str, ...]:
    """The words that this one does not replace; one that we do not know replaces all but an end."""
    for stage, words in enumerate(_STAGES):
        if state in words:
            later = _STAGES[stage + 1 :] if words is not _ENDED else (_ENDED,)
            return tuple(word for words in later for word in words)
    return _ENDED


def _session(row: tuple[Any, ...]) -> Session:
    id, provider, state, started, ended, reason, summary = row
    return Session(id, provider, state, read(started), read(ended) if ended else None, reason, summary)
