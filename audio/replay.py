"""The offline shell: a recording (or a visit that reacts) through the whole loop, faster than real time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from audio.commands import Abandon, Answer
from audio.conversation import Conversation
from audio.events import Event, MicrophoneOpened
from audio.frames import FRAME, RATE, Pcm, Samples, ms, silence
from audio.turn import Turn
from audio.virtual import Costs, VirtualComputer
from audio.workers import Job


class Timed(Protocol):
    """What the app does offline. Its effects are awaited while the sample clock stands still."""

    async def perform(self, command: Answer | Abandon, at: Samples) -> Sequence[Event]:
        """Carry out a command at `at`; returns the events that follow, known after the time it took."""
        ...

    async def tick(self, at: Samples) -> Sequence[Event]:
        """What has become known by `at` beside the answers: timers, calls."""
        ...

    def observe(self, event: Event) -> None:
        """Every event of the loop, as it happens."""
        ...

    @property
    def busy(self) -> bool:
        """Something is under way that will be heard of (a call; not a timer that runs for hours)."""
        ...


class Source(Protocol):
    """What the microphone hears."""

    def frame(self, now: Samples, state: Turn) -> Pcm | None:
        """The next frame, or None when everything has been said."""
        ...


class Recording:
    """A recording, from its first sample to its last."""

    def __init__(self, pcm: Pcm) -> None:
        self._pcm = np.concatenate([pcm, silence(-len(pcm) % FRAME)])

    def __len__(self) -> int:
        return len(self._pcm)

    def frame(self, now: Samples, state: Turn) -> Pcm | None:
        return self._pcm[now : now + FRAME] if now < len(self._pcm) else None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a visitor says."""

    pcm: Pcm
    when: frozenset[Turn] = frozenset({Turn.IDLE, Turn.FOLLOW_UP})
    """Said when the appliance has been in one of these states ..."""
    pause_ms: int = 800
    """... for so long."""


class Visit:
    """A visitor who waits for the answer before speaking on."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)
        self._playing: Pcm = silence(0)
        self._waited = 0

    def frame(self, now: Samples, state: Turn) -> Pcm | None:
        if not len(self._playing):
            if not self._steps:
                return None
            step = self._steps[0]
            self._waited = self._waited + FRAME if state in step.when else 0
            if self._waited < ms(step.pause_ms):
                return silence(FRAME)
            self._steps.pop(0)
            self._waited = 0
            self._playing = np.concatenate([step.pcm, silence(-len(step.pcm) % FRAME)])
        out, self._playing = self._playing[:FRAME], self._playing[FRAME:]
        return out


@dataclass(slots=True)
class Trace:
    """What came of it; near and far are int16 at 16 kHz and sample-aligned."""

    near: Pcm = field(default_factory=lambda: silence(0))
    far: Pcm = field(default_factory=lambda: silence(0))
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Replay:
    """One pass; make a new one for the next."""

    conversation: Conversation
    jobs: dict[str, Job]
    app: Timed
    costs: Costs
    cores: int = 1
    patience_ms: int = 30_000
    """After the last word: how long to wait for the loop to come to rest."""
    pace: Callable[[Samples], Awaitable[None]] | None = None
    """Awaited before every frame: real time."""
    button: Callable[[Samples], Event | None] | None = None
    """What a button does at that moment."""
    echo: Callable[[Pcm], Pcm] | None = None
    """What of a far frame the microphone hears."""

    async def run(self, source: Source) -> Trace:
        """Play the source to its end and until nothing is under way."""
        conversation = self.conversation
        computer = VirtualComputer(self.jobs, self.costs, self.cores)
        trace = Trace()
        nears: list[Pcm] = []
        fars: list[Pcm] = []
        conversation.receive(MicrophoneOpened(device="recording"))
        over: Samples | None = None
        while over is None or not self._at_rest(computer, over):
            now = conversation.now
            if self.pace is not None:
                await self.pace(now)
            near = source.frame(now, conversation.state)
            if near is None:
                over = now if over is None else over
                near = silence(FRAME)
            nears.append(near)
            fars.append(await self._tick(computer, near, trace))
        trace.near, trace.far = np.concatenate(nears), np.concatenate(fars)
        return trace

    async def _tick(self, computer: VirtualComputer, near: Pcm, trace: Trace) -> Pcm:
        conversation = self.conversation
        now = conversation.now
        clock = time.perf_counter()
        far = conversation.pull()
        if self.echo is not None:
            near = np.clip(near.astype(np.int32) + self.echo(far), -32768, 32767).astype(np.int16)
        conversation.feed(near, far)
        computer.charge(now, self.costs.frame(time.perf_counter() - clock))
        if self.button is not None and (press := self.button(now)) is not None:
            conversation.receive(press)
        for event in [*computer.events(conversation.now), *await self.app.tick(conversation.now)]:
            conversation.receive(event)
        output = conversation.take()
        for event in output.events:
            trace.events.append(event)
            self.app.observe(event)
        for command in output.commands:
            if isinstance(command, Answer | Abandon):
                await self._ask(computer, command)
            else:
                computer.put(command)
        return far

    async def _ask(self, computer: VirtualComputer, command: Answer | Abandon) -> None:
        now = self.conversation.now
        clock = time.perf_counter()
        results = await self.app.perform(command, now)
        cost = self.costs.app(time.perf_counter() - clock)
        computer.charge(now, cost)
        for event in results:
            computer.schedule(Samples(now + cost), event)

    def _at_rest(self, computer: VirtualComputer, over: Samples) -> bool:
        now = self.conversation.now
        if now - over >= ms(self.patience_ms):
            return True
        quiet = self.conversation.state is Turn.IDLE and not computer.busy and not self.app.busy
        return quiet and now - over >= RATE
