"""The sender's ledger against the server's database: what was lost, doubled, out of order or wrong.

Reads the database with SQL of its own, and not through the store that is to be checked.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.bench.plan import Kind

_SHOWN = 10


@dataclass(slots=True)
class Verdict:
    """What the comparison found; the lists hold a line for each fault."""

    events: int = 0
    requests: int = 0
    seconds: float = 0.0
    effects: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    fast_ms: list[float] = field(default_factory=list)
    slow_ms: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.disordered or self.errors)

    def shown(self) -> list[str]:
        """The first faults of each kind."""
        kinds = ("lost", "duplicated", "disordered", "errors")
        return [f"{kind}: {line}" for kind in kinds for line in getattr(self, kind)[:_SHOWN]]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def read_ledger(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The whole, and the line of each event."""
    head, *lines = path.read_text().splitlines()
    return json.loads(head), [json.loads(line) for line in lines]


def compare(ledger: Path, database: Path | None, witness: Path | None = None) -> Verdict:
    """Everything that can be found; without a database only the answers."""
    whole, entries = read_ledger(ledger)
    verdict = Verdict(len(entries), whole["requests"], whole["seconds"])
    for entry in entries:
        where = verdict.slow_ms if entry["kind"] == Kind.SLOW.value else verdict.fast_ms
        where.extend([took for took in (entry["took_ms"], *entry["again_ms"]) if took >= 0])
        verdict.errors += [f"event {entry['index']} ({entry['kind']}): {fault}" for fault in entry["faults"]]
        if entry["took_ms"] < 0:
            verdict.lost.append(f"event {entry['index']} ({entry['kind']}) was never answered")
    if database is not None:
        _stored(verdict, entries, database)
        if witness is not None:
            _witnessed(verdict, entries, witness)
    return verdict


def _stored(verdict: Verdict, entries: Iterable[dict[str, Any]], database: Path) -> None:
    """Each effect has one record and one line; the lines of a call are in its order; every call's session is there."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        states = dict(connection.execute("SELECT id, state FROM function_calls"))
        lines = connection.execute("SELECT call_id FROM appointments ORDER BY id").fetchall()
        doubled = connection.execute(
            "SELECT starts, count(*) FROM appointments WHERE state = 'booked' AND name != 'load'"
            " GROUP BY starts HAVING count(*) > 1"
        ).fetchall()
        sessions = {row[0] for row in connection.execute("SELECT id FROM sessions")}
    finally:
        connection.close()
    verdict.duplicated += [f"{starts} is booked {count} times" for starts, count in doubled]
    counted = Counter(call_id for (call_id,) in lines)
    wanted: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["answer"] == "none" and entry["id"]:
            verdict.errors.append(f"event {entry['index']} ({entry['kind']}): answered without a result")
        if Kind(entry["kind"]).effect:
            wanted[entry["id"]] = entry
        if f"vapi:{entry['call']}" not in sessions:
            verdict.lost.append(f"event {entry['index']}: the session of {entry['call']} is not there")
    verdict.effects = len(wanted)
    for id, entry in wanted.items():
        if states.get(id) != "done":
            verdict.lost.append(f"{id} ({entry['kind']}) is recorded as {states.get(id, 'nothing')}")
        if entry["kind"] == Kind.SLOW.value:
            continue
        if counted[id] == 0:
            verdict.lost.append(f"{id} ({entry['kind']}) has left nothing")
        elif counted[id] > 1:
            verdict.duplicated.append(f"{id} ({entry['kind']}) has left {counted[id]} lines")
    _ordered(verdict, [call_id for (call_id,) in lines], wanted)
    verdict.errors += [f"{id} was never sent" for id in counted if id and id not in wanted]


def _ordered(verdict: Verdict, lines: Iterable[str], wanted: dict[str, dict[str, Any]]) -> None:
    last: dict[str, int] = defaultdict(lambda: -1)
    for id in lines:
        entry = wanted.get(id)
        if entry is None:
            continue
        if entry["number"] <= last[entry["call"]]:
            verdict.disordered.append(f"{id} (number {entry['number']}) came after number {last[entry['call']]}")
        last[entry["call"]] = entry["number"]


def _witnessed(verdict: Verdict, entries: Iterable[dict[str, Any]], witness: Path) -> None:
    """How often the functions themselves say that they ran. Only where nothing was killed: a run that was cut short
    has left its line here and nothing in the book."""
    counted = Counter(witness.read_text().split()) if witness.exists() else Counter()
    for entry in entries:
        if entry["kind"] in (Kind.LINE.value, Kind.SLOW.value) and counted[entry["id"]] != 1:
            where = verdict.lost if counted[entry["id"]] == 0 else verdict.duplicated
            where.append(f"{entry['id']} ({entry['kind']}) ran {counted[entry['id']]} times")
