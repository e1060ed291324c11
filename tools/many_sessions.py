"""Phone calls without end through the whole web part: do memory, live objects and the disk stay as they are?

    nice -n 15 python -m tools.many_sessions [--sessions 100000] [--every 10000] [--json OUT.json]

Each session begins, tells its control URL, runs a function and ends with its report: signed requests on real sockets,
the store with every event. At each sample the store forgets what is older than the sample before, as it does day by
day. Exit status 1 if memory has grown by more than 5 %, objects by more than 1 %, or the files by more than a half,
since the second sample.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device.app import build
from device.bench.client import Connection
from device.config import Config
from device.functions.sqlite_store import NAME
from device.secrets import Secrets
from device.settings import HmacSection, PathsSection, WebSection
from device.web.assembly import WebParts, build_web
from device.webhook_sign import sign_vapi

SECRET = "whsec-many"
PATH = "/webhook/vapi"
AT_ONCE = 32
MOST_RSS = 1.05
MOST_OBJECTS = 1.01
MOST_DISK = 1.5


@dataclass(frozen=True, slots=True)
class Sample:
    """What there is after so many sessions."""

    sessions: int
    seconds: float
    rss_mb: float
    blocks: int
    """Of Python's allocator."""
    live: int
    """Sessions in memory; all have ended."""
    disk_mb: float
    """The database with its log, after forgetting."""


class SessionFailed(Exception):
    """A request was not answered as it should be; the measurement means nothing."""

    code = "session-failed"


async def measure(folder: Path, sessions: int, every: int) -> list[Sample]:
    """Begin and end so many; a sample after each `every`."""
    config = Config(
        timezone="UTC",
        paths=PathsSection(state_dir=folder, runtime_dir=folder),
        web=WebSection(port=0, private_port=0),
    )
    secrets = Secrets({"VAPI_SERVER_SECRET": SECRET}, folder / "none")
    house = build(config, secrets)
    web = build_web(config, secrets, WebParts(house.store, house.runner, house.registry, house.clock, _yes, _yes))
    assert web is not None
    assert web.public is not None
    assert web.vapi is not None
    await web.start()
    connections = [Connection("127.0.0.1", web.public.port) for _ in range(AT_ONCE)]
    samples: list[Sample] = []
    began = time.monotonic()
    try:
        for first in range(0, sessions, every):
            since = datetime.now(UTC)
            numbers = iter(range(first, min(first + every, sessions)))
            await asyncio.gather(*(_callers(connection, numbers) for connection in connections))
            await asyncio.to_thread(house.store.prune, since)
            live = len(list(web.vapi._sessions))
            samples.append(_sample(first + every, time.monotonic() - began, live, folder))
            print(samples[-1], file=sys.stderr, flush=True)
    finally:
        for connection in connections:
            connection.close()
        await web.stop()
        await web.close()
        await house.close()
    return samples


async def _callers(connection: Connection, numbers: Iterator[int]) -> None:
    for number in numbers:
        for message in _session(number):
            body = json.dumps({"message": message}).encode()
            headers = sign_vapi(body, SECRET, "hmac", HmacSection(), datetime.now(UTC))
            head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            reply = await connection.post(f"{head}\r\n".encode(), body)
            if reply.status != 200:
                raise SessionFailed(f"{message['type']}: {reply.status} {reply.body[:200]!r}")


def _session(number: int) -> Iterator[dict[str, Any]]:
    call = {"id": f"c-{number}", "monitor": {"controlUrl": f"https://x.vapi.ai/{number}/control"}}
    tool = {"id": f"t-{number}", "name": "getTime", "arguments": {}}
    yield {"type": "status-update", "status": "in-progress", "call": call}
    yield {"type": "tool-calls", "toolCallList": [tool], "call": call}
    yield {"type": "status-update", "status": "ended", "endedReason": "customer-ended-call", "call": call}
    yield {"type": "end-of-call-report", "endedReason": "customer-ended-call", "call": call}


def _sample(sessions: int, seconds: float, live: int, folder: Path) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    rss = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    disk = sum(file.stat().st_size for file in folder.glob(f"{NAME}*")) / 1e6
    return Sample(sessions, round(seconds, 1), round(rss, 1), sys.getallocatedblocks(), live, round(disk, 2))


def faults(samples: Sequence[Sample]) -> list[str]:
    """What has grown since the second sample: the first one begins with nothing to forget."""
    if len(samples) < 3:
        return ["fewer than three samples say nothing"]
    base, last = samples[1], samples[-1]
    found = [f"{last.live} sessions are still in memory"] if last.live else []
    for name, most in (("rss_mb", MOST_RSS), ("blocks", MOST_OBJECTS), ("disk_mb", MOST_DISK)):
        before, after = getattr(base, name), getattr(last, name)
        if after > before * most:
            found.append(f"{name} grew from {before} to {after}")
    return found


def _yes() -> bool:
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.many_sessions", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=10_000, help="sessions from sample to sample")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wakeline-many-") as folder:
        samples = asyncio.run(measure(Path(folder), options.sessions, options.every))
    wrong = faults(samples)
    told = json.dumps({"samples": [asdict(sample) for sample in samples], "faults": wrong}, indent=2)
    if options.json:
        options.json.write_text(told + "\n")
    print(told)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
