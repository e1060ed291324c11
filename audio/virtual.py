"""Owns time offline: a virtual computer on whose cores slow work queues, so a recording always gives the same trace.

`done = max(t, core free) + cost`. Costs are fixed (golden traces: the same every time) or measured and multiplied by a
slowdown (bench: k = 5 stands for a small board). Never the wall clock of the replay itself.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from audio.commands import Command
from audio.events import ClauseSynthesized, Event, FinalText, PartialText, WakeJudged
from audio.frames import RATE, Samples, ms
from audio.workers import Inbox, Job


class Costs(Protocol):
    """How long a piece of work takes on the virtual computer."""

    def step(self, command: Command, result: Event | None, measured_s: float) -> Samples: ...

    def frame(self, measured_s: float) -> Samples:
        """One frame of the pump."""
        ...

    def app(self, measured_s: float) -> Samples:
        """One answer of the app."""
        ...


@dataclass(frozen=True, slots=True)
class FixedCosts:
    """The same every time: for golden traces and tests."""

    partial_ms: int = 40
    final_ms: int = 60
    clause_ms: int = 80
    verdict_ms: int = 150
    app_ms: int = 10

    def step(self, command: Command, result: Event | None, measured_s: float) -> Samples:
        match result:
            case PartialText():
                return ms(self.partial_ms)
            case FinalText():
                return ms(self.final_ms)
            case WakeJudged():
                return ms(self.verdict_ms)
            case ClauseSynthesized():
                return ms(self.clause_ms)
        return Samples(0)

    def frame(self, measured_s: float) -> Samples:
        return Samples(0)

    def app(self, measured_s: float) -> Samples:
        return ms(self.app_ms)


@dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """As long as it took here, times `slowdown`."""

    slowdown: float = 1.0

    def step(self, command: Command, result: Event | None, measured_s: float) -> Samples:
        return self.frame(measured_s)

    def frame(self, measured_s: float) -> Samples:
        return Samples(round(measured_s * self.slowdown * RATE))

    def app(self, measured_s: float) -> Samples:
        return self.frame(measured_s)


_START = Samples(0)


@dataclass(slots=True)
class _Bench:
    """One worker: what waits, what runs, when it is free."""

    job: Job
    inbox: Inbox = field(default_factory=Inbox)
    running: Iterator[Event] | None = None
    command: Command | None = None
    free: Samples = _START


class VirtualComputer:
    """Runs the jobs of the workers on `cores` virtual cores; the pump's own work is charged to the first to be free."""

    def __init__(self, jobs: dict[str, Job], costs: Costs, cores: int = 1) -> None:
        self._benches = {name: _Bench(job) for name, job in jobs.items()}
        self._costs = costs
        self._cores = [Samples(0)] * cores
        self._due: list[tuple[Samples, int, Event]] = []
        self._order = itertools.count()

    def put(self, command: Command) -> None:
        bench = self._benches[command.worker]
        if bench.inbox.put(command):
            bench.job.interrupt(command.turn)
            bench.running = None

    def charge(self, now: Samples, cost: Samples) -> None:
        """Work that is done at once and keeps a core busy: the pump's frame, the app's answer."""
        core = self._cores.index(min(self._cores))
        self._cores[core] = Samples(max(now, self._cores[core]) + cost)

    def schedule(self, at: Samples, event: Event) -> None:
        """Deliver `event` at `at`."""
        heapq.heappush(self._due, (at, next(self._order), event))

    def events(self, now: Samples) -> Iterator[Event]:
        """Work on, then yield what is done by `now`, in order of its time."""
        for bench in self._benches.values():
            self._work(bench, now)
        while self._due and self._due[0][0] <= now:
            yield heapq.heappop(self._due)[2]

    @property
    def busy(self) -> bool:
        return bool(self._due) or any(bench.running or len(bench.inbox) for bench in self._benches.values())

    def _work(self, bench: _Bench, now: Samples) -> None:
        while True:
            if bench.running is None:
                bench.command = bench.inbox.get()
                if bench.command is None:
                    return
                bench.running = bench.job.run(bench.command)
            core = self._cores.index(min(self._cores))
            begin = max(bench.free, self._cores[core])
            if begin > now:
                return  # Not begun yet: what comes until then may overtake it.
            self._step(bench, core, Samples(max(begin, now)))

    def _step(self, bench: _Bench, core: int, begin: Samples) -> None:
        assert bench.running is not None
        assert bench.command is not None
        clock = time.perf_counter()
        result = next(bench.running, None)
        cost = self._costs.step(bench.command, result, time.perf_counter() - clock)
        done = Samples(begin + cost)
        self._cores[core] = bench.free = done
        if result is None:
            bench.running = None
        else:
            self.schedule(done, result)
