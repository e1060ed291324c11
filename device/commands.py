"""What the commands do; `device/cli.py` owns their arguments. Each returns an exit status."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audio.events import TurnStarted
from audio.frames import RATE
from audio.resample import resample
from audio.wav import read_wav, write_wav
from device import asking, session
from device.app import House, build
from device.bench.tts import advice
from device.calls.link import Destination
from device.collector import settle
from device.config import Config
from device.control import ControlError, send
from device.describe import describe
from device.live import Live
from device.record import Record
from device.secrets import Secrets
from device.view import view_for
from device.watchdog import Notifier

if TYPE_CHECKING:
    from device.web.assembly import Web

CONTROL = "control"


def run(_: argparse.Namespace, config: Config) -> int:
    """Be the appliance: listen for the wake word (or the space bar in a terminal), answer, act; until Ctrl-C.

    Keys in a terminal: space begins and ends talking, m closes and opens the microphone, q quits.
    """
    return asyncio.run(_run(config))


async def _run(config: Config) -> int:
    notifier = Notifier.from_env()
    # Where nobody watches, words appear only if the user has allowed them to be kept.
    private = not (sys.stdout.isatty() or config.privacy.record_text)
    with view_for(sys.stdout, privacy=private) as view:
        live = Live(config, view, _record(config), notifier)
        secrets = Secrets()
        house = build(config, secrets, call_changed=live.call_changed)
        web = None
        try:
            web = _web(config, secrets, house, live)
            settle()
            return await live.run(house, web)
        finally:
            if web is not None:
                await web.close()
            await house.close()
            notifier.close()


def _web(config: Config, secrets: Secrets, house: House, live: Live) -> Web | None:
    """Its files may fail, and the voice goes on; a setting that cannot be used ends both, and is named."""
    from device.web.assembly import WebParts, build_web

    parts = WebParts(house.store, house.runner, house.registry, house.clock, house.trusted, live.hears)
    try:
        return build_web(config, secrets, parts)
    except OSError as error:
        logging.getLogger("wakeline.web").error("no webhooks: %s: %s", error.filename, error.strerror)
        return None


def _record(config: Config) -> Record | None:
    if not config.record.enabled:
        return None
    return Record(
        config.paths.state_dir / "record",
        record_text=config.privacy.record_text,
        max_bytes=config.record.max_bytes,
        files=config.record.files,
    )


def replay(arguments: argparse.Namespace, config: Config) -> int:
    """Play a recording through the whole loop - wake word, recognizer, dialog, functions, voice - and print what was
    heard and said. Bookings go to a book of its own, which is thrown away."""
    pcm = read_wav(arguments.recording)
    source = session.pushed(pcm) if arguments.press else session.recorded(pcm)
    with tempfile.TemporaryDirectory() as folder, view_for(sys.stdout) as view:
        result = asyncio.run(
            session.play(
                config,
                source,
                database=Path(folder) / "replay.db",
                start=datetime.now(config.zone),
                view=view,
                slowdown=arguments.slowdown,
                realtime=arguments.realtime,
            )
        )
        if not any(isinstance(event, TurnStarted) for event in result.trace.events):
            view.note("nobody said the wake word; with --press the whole recording is the request")
    if arguments.out:
        write_wav(arguments.out, result.trace.far)
    if arguments.timeline:
        session.draw_timeline(result, arguments.timeline, arguments.recording.name)
    return 0


def demo(arguments: argparse.Namespace, config: Config) -> int:
    """A scripted visit by two synthetic voices, heard and answered for real: the time, a booking, a question back, a
    timer. Leaves reply.wav, visit.wav and timeline.svg."""
    from device.demo import run_demo

    return asyncio.run(run_demo(config, arguments.out, call=arguments.call))


def ask(arguments: argparse.Namespace, config: Config) -> int:
    """The same dialog and functions in text, on the real book. Every argument is one turn of one conversation; without
    arguments type your turns, until Ctrl-D. With --session the next command goes on where this one stopped."""
    return asking.ask(arguments.text, arguments.session, config)


def say(arguments: argparse.Namespace, config: Config) -> int:
    """Speak a text: through the running appliance, or into a file with --out."""
    if arguments.out is None:
        send(config.paths.runtime_dir / CONTROL, {"do": "say", "text": arguments.text})
        return 0
    from audio.assembly import synthesizer

    voice = synthesizer(config.tts.engine, config.tts.speed)
    voice.load()
    clauses = [resample(clause.pcm, voice.rate, RATE) for clause in voice.synthesize(arguments.text)]
    if not clauses:
        raise ControlError("nothing-to-say", "there are no words in that text")
    import numpy as np

    write_wav(arguments.out, np.concatenate(clauses))
    return 0


def control(arguments: argparse.Namespace, config: Config) -> int:
    """Ask the running appliance."""
    state: Mapping[str, object] = send(config.paths.runtime_dir / CONTROL, {"do": arguments.do})
    if arguments.do == "status":
        print("\n".join(f"{name}: {value}" for name, value in state.items()))
    return 0


def call(arguments: argparse.Namespace, config: Config) -> int:
    """Place a call to a destination of the configuration; stay until it is over, print and record the outcome."""
    return asyncio.run(_call(arguments.destination, arguments.via, config))


async def _call(name: str, via: str | None, config: Config) -> int:
    with view_for(sys.stdout) as view:
        house = build(config, Secrets(), call_changed=view.show)
        try:
            wanted = house.appliance.destination(name)
            if via is not None:
                wanted = Destination(wanted.name, via, wanted.address, wanted.emergency)
            outcome = await house.appliance.escalate(wanted, "asked-for")
            view.note(f"{outcome.code}: {outcome.sentence}" + (f" ({outcome.detail})" if not outcome.answered else ""))
            return 0 if outcome.answered else 1
        finally:
            await house.close()


def show_config(arguments: argparse.Namespace, config: Config) -> int:
    """Print the settings in force as TOML, each with what it means."""
    if arguments.commercial:
        return _licences(config)
    print(describe(config, Secrets()))
    print(f"\n# {advice(config.paths.state_dir, config.tts.engine)}")
    return 0


def _licences(config: Config) -> int:
    from device.licences import Verdict, parts, unused

    found = parts(config)
    for part in found:
        print(part.line())
    for part in unused(config):
        print(f"note     {part.name}: {part.licence}: installed, not used by these settings; leave it out of a product")
    refused = sum(part.verdict is Verdict.REFUSED for part in found)
    print(
        f"{refused} of {len(found)} parts do not suit a product"
        if refused
        else f"all {len(found)} parts suit a product"
    )
    return 1 if refused else 0
