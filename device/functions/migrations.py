"""The database's schema, version by version. A step is never changed after its release: a new one is added."""

from __future__ import annotations

import sqlite3
from typing import Final

from device.functions.contract import StoreFailed

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    # 1: the book alone
    (
        """CREATE TABLE appointments(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            starts TEXT NOT NULL,
            minutes INTEGER NOT NULL,
            name TEXT NOT NULL,
            created TEXT NOT NULL)""",
        "CREATE INDEX appointments_starts ON appointments(starts)",
    ),
    # 2: zones and cancelling; function calls, timers, results to be heard, calls, counters
    (
        # Version 1 did not know in which zone an appointment was made; its moment is right all the same.
        "ALTER TABLE appointments ADD COLUMN zone TEXT NOT NULL DEFAULT 'UTC'",
        "ALTER TABLE appointments ADD COLUMN people INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE appointments ADD COLUMN state TEXT NOT NULL DEFAULT 'booked'",
        "ALTER TABLE appointments ADD COLUMN call_id TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE function_calls(
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            arguments TEXT NOT NULL,
            origin TEXT NOT NULL,
            session TEXT NOT NULL,
            state TEXT NOT NULL,
            value TEXT,
            error_code TEXT NOT NULL,
            sentence TEXT NOT NULL,
            created TEXT NOT NULL)""",
        "CREATE INDEX function_calls_created ON function_calls(created)",
        """CREATE TABLE timers(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            seconds INTEGER NOT NULL,
            ends TEXT NOT NULL,
            state TEXT NOT NULL,
            created TEXT NOT NULL)""",
        "CREATE TABLE outbox(reply TEXT PRIMARY KEY, text TEXT NOT NULL, created TEXT NOT NULL, heard_at TEXT)",
        """CREATE TABLE calls(
            id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            destination TEXT NOT NULL,
            link TEXT NOT NULL,
            address TEXT NOT NULL,
            emergency INTEGER NOT NULL,
            state TEXT NOT NULL,
            vendor_id TEXT NOT NULL DEFAULT '',
            cause TEXT NOT NULL DEFAULT '',
            code TEXT NOT NULL DEFAULT '',
            detail TEXT NOT NULL DEFAULT '',
            answered INTEGER NOT NULL DEFAULT 0,
            ended REAL)""",
        "CREATE INDEX calls_created ON calls(created)",
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    ),
    # 3: late results, answered requests, sessions of the providers
    (
        "ALTER TABLE function_calls ADD COLUMN told TEXT NOT NULL DEFAULT 'at-once'",
        "CREATE INDEX function_calls_session ON function_calls(session)",
        "CREATE INDEX function_calls_told ON function_calls(told) WHERE told = 'waiting'",
        """CREATE TABLE answered(
            digest TEXT PRIMARY KEY,
            status INTEGER NOT NULL,
            media_type TEXT NOT NULL,
            body BLOB NOT NULL,
            created TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX answered_created ON answered(created)",
        """CREATE TABLE sessions(
            id TEXT PRIMARY KEY,
            provider TEXT NOT NULL,
            state TEXT NOT NULL,
            started TEXT NOT NULL,
            ended TEXT,
            reason TEXT NOT NULL DEFAULT '',
            summary TEXT NOT NULL DEFAULT '')""",
        "CREATE INDEX sessions_started ON sessions(started)",
        """CREATE TABLE session_events(
            session TEXT NOT NULL,
            number INTEGER NOT NULL,
            kind TEXT NOT NULL,
            detail TEXT NOT NULL,
            at TEXT NOT NULL,
            PRIMARY KEY(session, number)) WITHOUT ROWID""",
        "CREATE INDEX session_events_at ON session_events(at)",
    ),
    # 4: those that are open are looked for every minute
    ("CREATE INDEX sessions_open ON sessions(started) WHERE ended IS NULL",),
)

VERSION: Final = len(STEPS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to `VERSION`, all or nothing; refuses one that a newer program wrote."""
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another process may just have done it
        if version > VERSION:
            raise StoreFailed(f"the database has version {version}, this program knows {VERSION}: install a newer one")
        for step in STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:  # whatever it was: all of the steps or none
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
