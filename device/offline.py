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
        self._later: list[tuple[Samples, Event]] = []
        self._pending: list[Event] = []
        self._look_at = Samples(0)

    def attach(self, appliance: Appliance) -> None:
        self._appliance = appliance

    def call_changed(self, event: CallEvent) -> None:
        """The escalation's `notify`."""
        assert self._appliance is not None
        self._appliance.call_changed(event)
        self._later.append((self._clock.waited, event))

    async def perform(self, command: Answer | Abandon, at: Samples) -> Sequence[tuple[Samples, Event]]:
        """The answer at once; a call's progress and outcome when they come."""
        assert self._appliance is not None
        if isinstance(command, Abandon):
            return ()
        self._clock.set(at)
        self._later = []
        events, call = await self._appliance.answer(command)
        results: list[tuple[Samples, Event]] = [(Samples(0), event) for event in events]
        if call is not None:
            notice = await self._appliance.place(call)
            results += [*self._later, (self._clock.waited, notice)]
        self._clock.set(at)
        return results

    async def tick(self, at: Samples) -> Sequence[Event]:
        assert self._appliance is not None
        events, self._pending = self._pending, []
        if at >= self._look_at:
            self._look_at = Samples(at + _LOOK_EVERY)
            self._clock.set(at)
            events += self._appliance.due()
        return events

    def observe(self, event: Event) -> None:
        assert self._appliance is not None
        if self._view is not None:
            self._view.show(event)
        self._pending += self._appliance.observe(event)
