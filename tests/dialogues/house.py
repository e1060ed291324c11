"""A small house for dialog tests: functions of every kind, whose calls are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from device.dialog.dialog import Dialog
from device.dialog.forms import Form, Forms, Slot
from device.dialog.language import Language, load_language
from device.dialog.settings import Callee, DialogSettings
from device.functions.contract import (
    BadArguments,
    FunctionCall,
    FunctionError,
    FunctionResult,
    Problem,
    Refused,
    StillWorking,
)

BERLIN = "Europe/Berlin"

FORMS = (
    Form("getTime"),
    Form("getDate"),
    Form(
        "setTimer",
        (Slot("duration", "duration", "For how long?", "Sorry, how many minutes?"),),
        effect=True,
    ),
    Form("cancelTimer", effect=True),
    Form(
        "checkAvailability",
        (
            Slot("date", "date", "For which day?", "Sorry, I did not get the date. For which day?"),
            Slot("time", "time", "At what time?", "Sorry, I did not get the time. At what time?"),
        ),
    ),
    Form(
        "bookAppointment",
        (
            Slot("date", "date", "For which day?", "Sorry, I did not get the date. For which day?"),
            Slot("time", "time", "At what time?", "Sorry, I did not get the time. At what time?"),
            Slot("people", "integer", "For how many?", "Sorry, how many people?"),
            Slot("name", "name", "Under which name?", "Sorry, which name?", required=False),
        ),
        confirm="Book {date} at {time} for {people}[ under {name}], right?",
        effect=True,
    ),
    Form(
        "sendMessage",
        (
            Slot("name", "name", "To whom?", "Sorry, to whom?"),
            Slot("urgent", "boolean", "Is it urgent?"),
        ),
        effect=True,
    ),
    Form("break", effect=True),
)
SENTENCES = Path(__file__).parent / "sentences"


@cache
def _language() -> Language:
    return load_language("en", [SENTENCES])


class House:
    """Runs the functions above and keeps their calls."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        taken: Iterable[str] = (),
        fails: Mapping[str, int] | None = None,
        slow: Iterable[str] = (),
    ) -> None:
        """`fails` says how often a function fails before it works, `slow` which ones are still working."""
        self.calls: list[FunctionCall] = []
        self.started: asyncio.Event | None = None
        self.gate: asyncio.Event | None = None
        self._clock = clock
        self._taken = set(taken)
        self._fails = dict(fails or {})
        self._slow = frozenset(slow)

    def dialog(self, *, callees: Sequence[str], hours: Sequence[str] | None = None, **settings: Any) -> Dialog:
        opening = [(time.fromisoformat(a), time.fromisoformat(b)) for a, b in (pair.split("-") for pair in hours or ())]

        def open_on(day: date) -> list[tuple[time, time]]:
            return opening

        return Dialog(
            Forms(FORMS),
            self,
            DialogSettings(
                callees=tuple(Callee(name, emergency="emergency" in name) for name in callees),
                hours=open_on,
                **settings,
            ),
            self._clock,
            language=_language(),
        )

    async def run(self, call: FunctionCall) -> FunctionResult:
        self.calls.append(call)
        if self.gate is not None and self.started is not None:
            self.started.set()
            await self.gate.wait()
        if self._fails.get(call.name, 0) > 0:
            self._fails[call.name] -= 1
            return FunctionResult(call.id, error=FunctionError(), sentence=FunctionError.sentence)
        if call.name in self._slow:
            return FunctionResult(call.id, error=StillWorking(call.id), sentence=StillWorking.sentence)
        try:
            return FunctionResult(call.id, value={}, sentence=self._sentence(call))
        except FunctionError as error:
            return FunctionResult(call.id, error=error, sentence=error.sentence)

    def _sentence(self, call: FunctionCall) -> str:
        arguments = call.arguments
        when = f"{arguments.get('date')} {arguments.get('time')}"
        match call.name:
            case "getTime":
                return f"It's {self._clock():%H:%M}."
            case "getDate":
                return f"It's {self._clock():%A}."
            case "checkAvailability":
                return f"{when} is taken." if when in self._taken else f"{when} is free."
            case "bookAppointment":
                if when in self._taken:
                    raise Refused("taken", f"{arguments['time']} is taken. Another time?")
                if arguments["people"] > 20:
                    raise BadArguments((Problem("people", "at most 20", str(arguments["people"])),))
                return "Booked."
            case "break":
                raise FunctionError()
        return ""
