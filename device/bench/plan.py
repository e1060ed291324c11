"""What a load sends: every event of every call and the order of sending, from a seed alone. Owns the proportions."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

SLOTS_A_DAY = 48
DAYS_AHEAD = 365
"""The measured server's book is open day and night for so long: room for this many distinct bookings."""


class Kind(Enum):
    """What an event asks for."""

    NOTICE = "notice"
    READ = "read"
    LINE = "line"
    """An effect: recordOrder."""
    BOOKING = "booking"
    """An effect: bookAppointment on a slot of its own."""
    SLOW = "slow"
    """An effect that takes longer than its budget."""

    @property
    def effect(self) -> bool:
        return self in (Kind.LINE, Kind.BOOKING, Kind.SLOW)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a load is, and of what."""

    calls: int = 1000
    events: int = 20_000
    seed: int = 11
    effects: float = 0.30
    """Of all events; the slow ones are among them."""
    slow: float = 0.05
    bookings: float = 0.05
    reads: float = 0.20
    again: float = 0.20
    """So many more are events that were sent before, late and in any order."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One event: the body is what is signed, each time anew."""

    index: int
    call: str
    kind: Kind
    number: int
    """Of the effect in its call; -1 for the others."""
    tool_call: str
    body: bytes

    @property
    def id(self) -> str:
        """The server's id of the function call."""
        return f"vapi:{self.call}:{self.tool_call}" if self.tool_call else ""


@dataclass(frozen=True, slots=True)
class Sending:
    """One request: an event for the first time, or again."""

    event: Planned
    again: bool


def plan(shape: Shape, today: date) -> list[Sending]:
    """All requests in the order in which they begin; the events of one call among them in that call's order."""
    dice = random.Random(shape.seed)
    kinds = _kinds(shape, dice)
    slots = _slots(dice, sum(kind is Kind.BOOKING for kind in kinds), today)
    per_call = _shares(shape, dice)
    numbers: dict[int, int] = {}
    events: list[Planned] = []
    seen: dict[int, int] = {}
    for index, call in enumerate(per_call):
        seen[call] = seen.get(call, 0) + 1
        number = -1
        if kinds[index].effect:
            number = numbers[call] = numbers.get(call, -1) + 1
        events.append(_event(shape, index, call, kinds[index], number, seen[call], slots, today))
    return _with_repeats(events, shape, dice)


def _kinds(shape: Shape, dice: random.Random) -> list[Kind]:
    """Exactly in the proportions asked for."""
    slow = round(shape.events * min(shape.slow, shape.effects))
    bookings = round(shape.events * min(shape.bookings, shape.effects - min(shape.slow, shape.effects)))
    lines = round(shape.events * shape.effects) - slow - bookings
    reads = round(shape.events * shape.reads)
    kinds = [Kind.SLOW] * slow + [Kind.BOOKING] * bookings + [Kind.LINE] * lines + [Kind.READ] * reads
    kinds += [Kind.NOTICE] * (shape.events - len(kinds))
    dice.shuffle(kinds)
    return kinds


def _shares(shape: Shape, dice: random.Random) -> list[int]:
    """The call of each event: every call has its share, all of them go on side by side."""
    calls = [index % shape.calls for index in range(shape.events)]
    dice.shuffle(calls)
    return calls


def _slots(dice: random.Random, wanted: int, today: date) -> Iterator[tuple[str, str]]:
    """Distinct days and times, from the day after tomorrow: no zone makes them past or double."""
    room = SLOTS_A_DAY * (DAYS_AHEAD - 3)
    if wanted > room:
        raise ValueError(f"{wanted} bookings do not fit into {room} slots: fewer events")
    for slot in dice.sample(range(room), wanted):
        day, part = divmod(slot, SLOTS_A_DAY)
        yield (today + timedelta(days=day + 2)).isoformat(), f"{part // 2:02}:{part % 2 * 30:02}"


def _event(
    shape: Shape,
    index: int,
    call: int,
    kind: Kind,
    number: int,
    nth: int,
    slots: Iterator[tuple[str, str]],
    today: date,
) -> Planned:
    name = f"load-{shape.seed}-{call:05}"
    tool_call = "" if kind is Kind.NOTICE else f"call_{index:06}"
    message = _notice(index, nth) if kind is Kind.NOTICE else _tool_call(kind, number, tool_call, index, slots, today)
    message["timestamp"] = 1_788_247_000_000 + index
    message["call"] = {
        "id": name,
        "type": "inboundPhoneCall",
        "status": "in-progress",
        "customer": {"number": f"+1202555{call % 10_000:04}"},
        "assistantId": "6d1f4c0e-7a2b-4b53-9a53-0b1c2d3e4f50",
    }
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return Planned(index, name, kind, number, tool_call, body)


def _notice(index: int, nth: int) -> dict[str, Any]:
    if nth == 1:
        return {"type": "status-update", "status": "in-progress"}
    return (
        {"type": "speech-update", "status": "started", "role": "user", "turn": nth},
        {"type": "transcript", "role": "user", "transcriptType": "partial", "transcript": "I would like to book"},
        {
            "type": "transcript",
            "role": "user",
            "transcriptType": "final",
            "transcript": "I would like to book a table.",
        },
        {"type": "speech-update", "status": "stopped", "role": "assistant", "turn": nth},
        {"type": "user-interrupted", "turnId": f"turn-{nth}"},
        {"type": "conversation-update", "messages": [{"role": "bot", "message": "Hello, how can I help you?"}]},
    )[index % 6]


def _tool_call(
    kind: Kind, number: int, tool_call: str, index: int, slots: Iterator[tuple[str, str]], today: date
) -> dict[str, Any]:
    name: str
    arguments: dict[str, Any]
    if kind is Kind.BOOKING:
        day, time = next(slots)
        name, arguments = "bookAppointment", {"date": day, "time": time, "people": 1 + number % 8, "name": "Load"}
    elif kind is Kind.READ:
        when = date.fromordinal(today.toordinal() + 2 + index % (DAYS_AHEAD - 3))
        name, arguments = "checkAvailability", {"date": when.isoformat(), "time": f"{index % 24:02}:00"}
    else:
        name, arguments = ("slowThing" if kind is Kind.SLOW else "recordOrder"), {"number": number}
    # Both forms are on the wire: an object, and a string of JSON.
    given: Any = arguments if index % 2 else json.dumps(arguments)
    called = {"id": tool_call, "type": "function", "function": {"name": name, "arguments": given}}
    return {"type": "tool-calls", "toolCallList": [called], "toolCalls": [called]}


def _with_repeats(events: list[Planned], shape: Shape, dice: random.Random) -> list[Sending]:
    """Each repeat somewhere behind its first sending, near or far."""
    keyed = [(float(event.index), 0, Sending(event, False)) for event in events]
    for event in dice.sample(events, round(len(events) * shape.again)):
        # Half of them soon - often while the first is still being answered -, half anywhere later.
        reach = min(50, len(events)) if dice.random() < 0.5 else len(events)
        keyed.append(
            (event.index + dice.random() * max(1, min(reach, len(events) - event.index)), 1, Sending(event, True))
        )
    keyed.sort(key=lambda entry: (entry[0], entry[1], entry[2].event.index))
    return [sending for _, _, sending in keyed]
