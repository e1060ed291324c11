"""The web part of wakeline without ears and without a sound card, for measuring: everything behind the two ports.

    python -m device.bench.serve --port PORT

Configuration, secrets and folders are those of the environment. With WAKELINE_BENCH_PROFILE=FILE the loop's thread is
profiled, and the figures are written there at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from device.collector import settle
from device.config import Config, load_config
from device.functions.assembly import load_functions
from device.functions.runner import Runner, context_factory
from device.functions.sqlite_store import NAME, SqliteStore
from device.secrets import Secrets
from device.web.assembly import Web, WebParts, build_web

PROFILE = "WAKELINE_BENCH_PROFILE"


@dataclass(frozen=True, slots=True)
class Served:
    """What runs behind the ports."""

    web: Web
    runner: Runner
    store: SqliteStore


@contextlib.asynccontextmanager
async def composed(config: Config, secrets: Secrets) -> AsyncIterator[Served]:
    """As the app puts it together; the ports are still closed. What was running before a crash runs again."""
    registry = load_functions(config, secrets)
    store = SqliteStore(config.paths.state_dir / NAME)

    def now() -> datetime:
        return datetime.now(config.zone)

    runner = Runner(registry, store, context_factory(now, config.zone, config.book))
    web = build_web(config, secrets, WebParts(store, runner, registry, now, trusted=lambda: True, hears=lambda: True))
    assert web is not None

    async def tell() -> None:
        async for late in runner.late():
            web.tell(late)

    await runner.resume()
    telling = asyncio.create_task(tell())
    try:
        yield Served(web, runner, store)
    finally:
        telling.cancel()
        await runner.drain()
        await web.close()
        await registry.close()
        store.close()


async def serve(config: Config, secrets: Secrets) -> None:
    """Until SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with composed(config, secrets) as served:
        await served.web.start()
        settle()
        await stopping.wait()
        await served.web.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m device.bench.serve", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--standby", action="store_true", help="do nothing before a line is read")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if options.standby and not sys.stdin.readline():
        return 0
    config, secrets = load_config(), Secrets()
    config = config.model_copy(update={"web": config.web.model_copy(update={"port": options.port})})
    profile = os.environ.get(PROFILE)
    if not profile:
        asyncio.run(serve(config, secrets))
        return 0
    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, serve(config, secrets))
    profiler.dump_stats(profile)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
