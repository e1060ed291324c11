"""Composition root: the one place where the parts of the appliance are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from audio.wire import EarsConfig
from device.appliance import Appliance
from device.calls.escalation import Escalation
from device.calls.link import Link
from device.calls.links import build_budget, build_destinations, build_links, build_patience, close_links
from device.calls.watch import CallEvent, Clock
from device.config import Config
from device.dialog.assembly import build_dialog
from device.dialog.dialog import Dialog
from device.functions.assembly import load_functions
from device.functions.context import contexts
from device.functions.contract import Origin
from device.functions.hours import read_spans
from device.functions.registry import Registry
from device.functions.runner import Runner
from device.functions.sqlite_store import NAME, SqliteStore
from device.schedule import WakeSchedule
from device.secrets import Secrets
from device.settings import WakeWordSection
from device.trusted_clock import ClockTrust, last_written
from models.wake_words import WakeWord

KEPT_DAYS = 30
"""Function calls, heard results and ended calls are forgotten after so long; the book is not."""


def ears_config(config: Config, epoch: int = 1) -> EarsConfig:
    """What the ears need to know of the configuration."""
    return EarsConfig(
        epoch=epoch,
        loop=config.loop,
        input=config.audio.input,
        output=config.audio.output,
        channel=config.audio.channel,
        channels=config.audio.channels,
        wake_engine=config.wake.engine,
        wake_words=wake_words(config),
        wake_confirm=config.wake.confirm,
        stt_engine=config.stt.engine,
        stt_model=config.stt_model,
        tts_engine=config.tts.engine,
        tts_speed=config.tts.speed,
    )


def wake_words(config: Config) -> tuple[WakeWord, ...]:
    """Each word with what is set for it."""
    words = []
    for name in config.wake.words:
        own = config.wake.word.get(name, WakeWordSection())
        words.append(
            WakeWord(
                name=name,
                threshold=config.wake.threshold if own.threshold is None else own.threshold,
                patience=own.patience,
                model=own.model,
                second_threshold=own.second_threshold,
                second_model=own.second_model,
            )
        )
    return tuple(words)


@dataclass(slots=True)
class House:
    """The appliance with what it stands on; `close` it."""

    appliance: Appliance
    dialog: Dialog
    store: SqliteStore
    runner: Runner
    links: Mapping[str, Link]
    registry: Registry
    clock: Callable[[], datetime]
    trusted: Callable[[], bool]
    """Whether the clock can be trusted."""

    async def close(self) -> None:
        """What runs is finished, then the store is closed."""
        await self.runner.drain()
        await self.registry.close()
        await close_links(self.links)
        self.store.close()


def build(
    config: Config,
    secrets: Secrets,
    *,
    clock: Callable[[], datetime] | None = None,
    database: Path | None = None,
    call_changed: Callable[[CallEvent], None] = lambda event: None,
    call_clock: Clock | None = None,
    links: Mapping[str, Link] | None = None,
    origin: Origin = "voice",
) -> House:
    """Put it together. `clock` is aware; `call_changed` hears of a call's progress.

    Raises:
        FunctionFileBroken, LanguageInvalid: one of the user's own files cannot be used.
        ConfigError: a function of the configuration cannot be used.
        StoreFailed: the database cannot be opened.
    """
    zone = config.zone

    def now() -> datetime:
        return (clock() if clock else datetime.now(zone)).astimezone(zone)

    registry = load_functions(config, secrets)
    path = database or config.paths.state_dir / NAME
    clock_trust = ClockTrust(now, last_written(path))
    store = SqliteStore(path)
    store.prune(now() - timedelta(days=KEPT_DAYS))

    def trusted() -> bool:
        return config.dialog.trust_clock or clock is not None or clock_trust()

    runner = Runner(registry, store, contexts(now, zone, config.book, trusted))
    dialog = build_dialog(config, registry, runner, now, origin=origin, clock_trusted=trusted)
    links = links if links is not None else build_links(config, secrets)
    escalation = Escalation(
        links, store, call_changed, budget=build_budget(config), patience=build_patience(config), clock=call_clock
    )
    schedule = {name: read_spans(config.wake.word.get(name, WakeWordSection()).hours) for name in config.wake.words}
    wipe_after = timedelta(seconds=config.dialog.wipe_s)
    destinations = build_destinations(config)
    appliance = Appliance(dialog, store, escalation, destinations, now, WakeSchedule(schedule), wipe_after=wipe_after)
    return House(appliance, dialog, store, runner, links, registry, now, trusted)
