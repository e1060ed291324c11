"""One offline session: a recording or a visit through the whole appliance, with its trace and picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audio.assembly import build_conversation, build_jobs
from audio.events import Event, Pressed, Released
from audio.frames import FRAME, RATE, Pcm, Samples
from audio.replay import Recording, Replay, Source, Trace
from audio.virtual import Costs, MeasuredCosts
from audio.workers import Job
from device.app import build, ears_config
from device.calls.link import Link
from device.config import Config
from device.offline import OfflineApp, OfflineClock
from device.secrets import Secrets
from device.timeline import draw
from device.view import View


@dataclass(slots=True)
class Played:
    """What came of a session."""

    trace: Trace
    started: datetime
    took_s: float
    """Wall time of the machine that played it."""


class Pushed(Recording):
    """A recording during which the button is held."""

    def presses(self, now: Samples) -> Event | None:
        """What the button does at this moment."""
        if now == 0:
            return Pressed(source="replay")
        return Released(source="replay") if len(self) <= now < len(self) + FRAME else None


def recorded(pcm: Pcm) -> Recording:
    return Recording(pcm)


def pushed(pcm: Pcm) -> Pushed:
    return Pushed(pcm)


async def play(
    config: Config,
    source: Source,
    *,
    database: Path,
    start: datetime,
    view: View | None = None,
    costs: Costs | None = None,
    slowdown: float = 1.0,
    realtime: bool = False,
    jobs: Mapping[str, Job] | None = None,
    links: Mapping[str, Link] | None = None,
    secrets: Secrets | None = None,
) -> Played:
    """Run it. `start` is the wall time of the first sample; `jobs` are loaded engines to be used again."""
    clock = OfflineClock(start)
    app = OfflineApp(clock, view)
    house = build(
        config,
        secrets or Secrets(),
        clock=clock.now,
        database=database,
        call_changed=app.call_changed,
        call_clock=clock.for_calls(),
        links=links,
    )
    app.attach(house.appliance)
    ears = ears_config(config, house.store.next_epoch())
    replay = Replay(
        build_conversation(ears, echo=False),
        dict(jobs) if jobs is not None else build_jobs(ears),
        app,
        costs or MeasuredCosts(slowdown),
        pace=_paced() if realtime else None,
        button=source.presses if isinstance(source, Pushed) else None,
    )
    began = time.monotonic()
    try:
        trace = await replay.run(source)
    finally:
        await house.close()
    return Played(trace, start, time.monotonic() - began)


def _paced() -> Callable[[Samples], Awaitable[None]]:
    began = time.monotonic()

    async def pace(now: Samples) -> None:
        await asyncio.sleep(max(0.0, began + now / RATE - time.monotonic()))

    return pace


def draw_timeline(played: Played, out: Path, title: str) -> None:
    """The picture of the session; its words are in it, since whoever asked for it has the recording."""
    events = [(1, event) for event in played.trace.events]
    draw(played.trace.near, played.trace.far, events, out, texts=True, title=title)
