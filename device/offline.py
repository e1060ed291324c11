"""The appliance behind the offline shell: its clock is the recording's, its calls wait in no time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from audio.commands import Abandon, Answer
from audio.events import Event
from audio.frames import RATE, Samples, ms
from device.appliance import Appliance
from device.calls.watch import CallEvent, Clock
from device.dialog.reply import PlaceCall
from device.view import View

_LOOK_EVERY = ms(250)


class OfflineClock:
    """Begins at `start` and moves with the samples; waiting moves it at once, until `rewind`."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._at = Samples(0)
        self._waited = 0.0

    def set(self, at: Samples) -> None:
        """The recording has come to `at`; what was waited for is over."""
        self._at = at
        self._waited = 0.0

    @property
    def at(self) -> Samples:
        """Where the recording is."""
        return self._at

    @property
    def waited(self) -> Samples:
        """How long the present effect has waited so far."""
        return Samples(round(self._waited * RATE))

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._at / RATE + self._waited)

    def for_calls(self) -> Clock:
        """The clock of the escalation."""
        return Clock(now=lambda: self.now().timestamp(), steady=lambda: self.now().timestamp(), sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self._waited += seconds
        await asyncio.sleep(0)


class OfflineApp:
    """`audio.replay.Timed`: effects are awaited while the sample clock stands still and delivered after their time."""

    def __init__(self, clock: OfflineClock, view: View | None = None) -> None:
        self._clock = clock
        self._view = view
        self._appliance: Appliance | None = None
        self._wanted: list[PlaceCall] = []
        self._later: list[tuple[Samples, Event]] = []
        self._look_at = Samples(0)

    def attach(self, appliance: Appliance) -> None:
        self._appliance = appliance

    def call_changed(self, event: CallEvent) -> None:
        """The escalation's `notify`."""
        assert self._appliance is not None
        self._appliance.call_changed(event)
        self._after_waiting(event)

    async def perform(self, command: Answer | Abandon, at: Samples) -> Sequence[Event]:
        """The answer; a call that is wanted is placed at the next tick, as live it is placed beside the loop."""
        assert self._appliance is not None
        if isinstance(command, Abandon):
            return ()
        self._clock.set(at)
        events, call = await self._appliance.answer(command)
        if call is not None:
            self._wanted.append(call)
        return events

    async def tick(self, at: Samples) -> Sequence[Event]:
        """What has become known by now: timers, and how calls go on."""
        assert self._appliance is not None
        self._clock.set(at)
        while self._wanted:
            self._after_waiting(await self._appliance.place(self._wanted.pop(0)))
            self._clock.set(at)
        if at >= self._look_at:
            self._look_at = Samples(at + _LOOK_EVERY)
            self._later += [(at, event) for event in self._appliance.due()]
        due = [event for when, event in self._later if when <= at]
        self._later = [(when, event) for when, event in self._later if when > at]
        return due

    def observe(self, event: Event) -> None:
        assert self._appliance is not None
        if self._view is not None:
            self._view.show(event)
        self._later += [(self._clock.at, follow) for follow in self._appliance.observe(event)]

    @property
    def busy(self) -> bool:
        return bool(self._wanted or self._later)

    def _after_waiting(self, event: Event) -> None:
        self._later.append((Samples(self._clock.at + self._clock.waited), event))
