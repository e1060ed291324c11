"""What the offline tests share: one configuration, one wall time, engines loaded once, a session in a line."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np

from audio.assembly import build_jobs
from audio.events import Event, ReplyFinished, ReplyStarted
from audio.frames import Pcm, ms, silence
from audio.replay import Source, Trace
from audio.virtual import FixedCosts
from audio.workers import Job
from device import settings as part
from device.app import ears_config
from device.calls.link import Link
from device.config import Config
from device.secrets import Secrets
from device.session import Played, play
from models.stt_moonshine import MoonshineRecognizer

ZONE = ZoneInfo("Europe/Vienna")
START = datetime(2026, 12, 1, 10, 0, tzinfo=ZONE)
"""A Tuesday."""

E = TypeVar("E", bound=Event)


def config(destination: part.DestinationSection | None = None) -> Config:
    """The house of the tests: everything default but the zone, the quicker voice, and who is at the front desk."""
    return Config(
        timezone=ZONE.key,
        tts=part.TtsSection(engine="hibari"),
        destinations={"front desk": destination or part.DestinationSection()},
    )


@functools.cache
def jobs() -> Mapping[str, Job]:
    """The real engines of that house, for all sessions of the run."""
    return build_jobs(ears_config(config()))


def session(
    source: Source,
    folder: Path,
    *,
    destination: part.DestinationSection | None = None,
    links: Mapping[str, Link] | None = None,
    start: datetime = START,
) -> Played:
    """Play it at fixed costs on a book of its own, `house.db` in the folder."""
    return asyncio.run(
        play(
            config(destination),
            source,
            database=folder / "house.db",
            start=start,
            costs=FixedCosts(),
            jobs=jobs(),
            links=links,
            secrets=Secrets({}, folder / "no.env"),
        )
    )


def of(trace: Trace, kind: type[E]) -> list[E]:
    return [event for event in trace.events if isinstance(event, kind)]


def answers(trace: Trace) -> list[str]:
    """What was said, and heard to its end."""
    return [reply.heard for reply in of(trace, ReplyFinished)]


def spoken(trace: Trace) -> list[tuple[str, Pcm]]:
    """Each reply's sentence with its sound."""
    begun = {reply.reply: reply.at for reply in of(trace, ReplyStarted)}
    return [(reply.heard, trace.far[begun[reply.reply] : reply.at]) for reply in of(trace, ReplyFinished)]


@functools.cache
def _recognizer() -> MoonshineRecognizer:
    recognizer = MoonshineRecognizer()
    recognizer.load()
    return recognizer


def transcribed(pcm: Pcm) -> str:
    """What the recognizer hears in the sound."""
    recognizer = _recognizer()
    recognizer.start()
    recognizer.feed(np.concatenate([silence(ms(300)), pcm, silence(ms(300))]))
    return recognizer.finish().text
