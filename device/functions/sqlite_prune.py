"""Forgetting: what is older than the keeping time, and the oldest of what would grow without bound."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final

from device.functions.times import stamp

AT_ONCE: Final = 2000
"""Rows of one table that are forgotten in one transaction: nobody waits long for it."""
MOST_KEPT: Final = 200_000
"""Rows of one table, however young: a card is finite."""

_OLD: Final = (
    # What somebody may still ask for stays: results nobody heard, calls that run, timers that run, the book.
    (
        "function_calls",
        "id",
        "created < :text AND state != 'running' AND id NOT IN (SELECT reply FROM outbox WHERE heard_at IS NULL)",
    ),
    ("outbox", "reply", "heard_at < :text"),
    ("answered", "digest", "created < :text"),
    ("session_events", "session, number", "at < :text"),
    ("sessions", "id", "started < :text"),
    ("timers", "id", "state = 'stopped' AND ends < :text"),
    ("calls", "id", "state = 'ended' AND ended < :seconds"),
)
_MANY: Final = (
    ("function_calls", "id", "created", " WHERE state != 'running'"),
    ("answered", "digest", "created", ""),
    ("session_events", "session, number", "at", ""),
    ("sessions", "id", "started", ""),
)


def prune_some(connection: sqlite3.Connection, before: datetime, *, most_kept: int = MOST_KEPT) -> int:
    """One bounded step; how many rows it has forgotten, 0 when there is nothing left to forget."""
    values: dict[str, Any] = {"text": stamp(before), "seconds": before.timestamp(), "limit": AT_ONCE}
    gone = 0
    for table, key, old in _OLD:
        which = f"SELECT {key} FROM {table} WHERE {old} LIMIT :limit"
        gone += connection.execute(f"DELETE FROM {table} WHERE ({key}) IN ({which})", values).rowcount
    for table, key, age, kept in _MANY:
        count = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        if count > most_kept:
            which = f"SELECT {key} FROM {table}{kept} ORDER BY {age} LIMIT ?"
            over = (min(count - most_kept, AT_ONCE),)
            gone += connection.execute(f"DELETE FROM {table} WHERE ({key}) IN ({which})", over).rowcount
    return gone
