"""The other end of a load: sends signed events as Vapi does, from a process of its own, and keeps its own ledger.

    python -m device.bench.sender --port PORT --ledger FILE [--calls N] [--events N] [--seed N] ...

The secret comes from $VAPI_SERVER_SECRET. Every call has a connection of its own, opened with its first event and kept.
The ledger has one line for each event: what it was, what was answered, how long it took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import hashlib
import hmac
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from device.bench.client import Connection, Reply, SendFailed
from device.bench.plan import Kind, Planned, Sending, Shape, plan

PATH = "/webhook/vapi"
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and how."""

    port: int
    secret: bytes
    host: str = "127.0.0.1"
    in_flight: int = 64
    """So many requests are under way at once, whatever the number of calls: what a tunnel lets through."""
    patience_s: float = 60.0
    """An event is tried again for so long."""
    rate: float = 0.0
    """Requests a second; 0 is as fast as they are answered."""


@dataclass(slots=True)
class Entry:
    """What became of one event; a line of the ledger."""

    index: int
    id: str
    call: str
    kind: str
    number: int
    took_ms: float = -1.0
    """Of the attempt that was answered; -1: it never was."""
    attempts: int = 0
    answer: str = ""
    """"result", "error", "none" (an answer without results), or the fault's code."""
    text: str = ""
    body_hash: str = ""
    again_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Sender:
    """Sends one plan and writes down what came back."""

    def __init__(self, target: Target, sendings: Sequence[Sending]) -> None:
        self._target = target
        self._sendings = sendings
        self._connections: dict[str, Connection] = {}
        self._before: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[int, asyncio.Event] = {}
        self.entries: dict[int, Entry] = {}
        self.answered = 0
        self.requests = 0

    async def run(self) -> float:
        """Until every event was answered or given up; seconds from the first request to the last answer."""
        free = asyncio.Semaphore(self._target.in_flight)
        spare = [Connection(self._target.host, self._target.port) for _ in range(self._target.in_flight * 2)]
        running: set[asyncio.Task[None]] = set()
        started = time.perf_counter()
        for number, sending in enumerate(self._sendings):
            if self._target.rate:
                await asyncio.sleep(started + number / self._target.rate - time.perf_counter())
            await free.acquire()
            event = sending.event
            if sending.again:
                task = asyncio.create_task(self._again(event, spare))
            else:
                task = asyncio.create_task(self._first(event, self._before.get(event.call)))
                self._before[event.call] = task
            running.add(task)
            task.add_done_callback(running.discard)
            if event.kind is Kind.SLOW:
                free.release()  # it waits for its budget, and that is no load
            else:
                task.add_done_callback(lambda _: free.release())
        while running:
            await asyncio.wait(running)
        took = time.perf_counter() - started
        for connection in (*self._connections.values(), *spare):
            connection.close()
        return took

    async def _first(self, event: Planned, before: asyncio.Task[None] | None) -> None:
        entry = Entry(event.index, event.id, event.call, event.kind.value, event.number)
        self.entries[event.index] = entry
        begun = self._begun[event.index] = asyncio.Event()
        if before is not None:
            await asyncio.wait([before])
        connection = self._connections.get(event.call)
        if connection is None:
            connection = self._connections[event.call] = Connection(self._target.host, self._target.port)
        begun.set()
        reply = await self._tried(event, connection, entry, again=False)
        if reply is not None:
            _note(entry, event, reply)
        self.answered += 1

    async def _again(self, event: Planned, spare: list[Connection]) -> None:
        entry = self.entries[event.index]
        await self._begun[event.index].wait()  # a repeat may overtake the answer, and not the event itself
        connection = spare.pop() if spare else Connection(self._target.host, self._target.port)
        reply = await self._tried(event, connection, entry, again=True)
        spare.append(connection)
        first = self._before.get(event.call)
        if not entry.body_hash and first is not None:
            await asyncio.wait([first])  # overtaken: its first answer comes now
        if reply is not None and entry.body_hash not in ("", _hash(reply.body)):
            entry.faults.append("another answer when sent again")

    async def _tried(self, event: Planned, connection: Connection, entry: Entry, *, again: bool) -> Reply | None:
        """As the provider does it: not answered, or answered 5xx or 429, is sent again with a new signature."""
        pause = FIRST_PAUSE_S
        given_up = time.monotonic() + self._target.patience_s
        while True:
            started = time.perf_counter()
            fault = ""
            try:
                reply = await connection.post(self._head(event.body), event.body)
                took = (time.perf_counter() - started) * 1000
                self.requests += 1
                if reply.status == 200:
                    entry.attempts += 1
                    if again:
                        entry.again_ms.append(took)
                    else:
                        entry.took_ms = took
                    return reply
                fault = f"status {reply.status}"
            except SendFailed as failure:
                fault = "" if time.monotonic() < given_up else f"unreachable: {failure}"
            if fault and (not fault.startswith(("status 5", "status 429")) or time.monotonic() >= given_up):
                entry.faults.append(fault)
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _head(self, body: bytes) -> bytes:
        stamp = str(time.time_ns() // 1_000_000).encode()
        signature = hmac.new(self._target.secret, stamp + b"." + body, hashlib.sha256).hexdigest()
        return (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{self._target.port}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-timestamp: {stamp.decode()}\r\nx-signature: {signature}\r\n\r\n"
        ).encode()


def _note(entry: Entry, event: Planned, reply: Reply) -> None:
    """What the answer says of a function call, and whether it has the form that Vapi wants."""
    entry.body_hash = _hash(reply.body)
    entry.answer = "none"
    if not event.tool_call or reply.body == b"{}":
        return
    try:
        (result,) = json.loads(reply.body)["results"]
        entry.answer = "error" if "error" in result else "result"
        entry.text = result[entry.answer]
        if result["toolCallId"] != event.tool_call:
            entry.faults.append("the result of another call")
        if entry.answer == "error":
            entry.faults.append(f"refused: {entry.text[:80]}")
    except (ValueError, KeyError, TypeError) as error:
        entry.faults.append(f"an answer of another form: {type(error).__name__}")


def _hash(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=8).hexdigest()


def write_ledger(path: Path, sender: Sender, took_s: float) -> None:
    """First line: the whole; then one line for each event."""
    with path.open("w") as file:
        file.write(json.dumps({"seconds": took_s, "requests": sender.requests}) + "\n")
        for index in sorted(sender.entries):
            file.write(json.dumps(asdict(sender.entries[index])) + "\n")


async def send(target: Target, shape: Shape, ledger: Path, today: date) -> None:
    """The whole load; progress goes to stderr."""
    sendings = plan(shape, today)
    sender = Sender(target, sendings)
    gc.freeze()

    async def progress() -> None:
        while sys.stderr.isatty():
            await asyncio.sleep(1)
            print(f"\r{sender.answered} of {shape.events} events answered", end="", file=sys.stderr, flush=True)

    telling = asyncio.create_task(progress())
    took = await sender.run()
    telling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await telling
    print(f"\r{sender.answered} of {shape.events} events answered", file=sys.stderr)
    write_ledger(ledger, sender, took)


def raise_file_limit(wanted: int) -> None:
    """Every connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main(arguments: Sequence[str] | None = None) -> int:
    defaults, target = Shape(), Target(0, b"")
    parser = argparse.ArgumentParser(prog="python -m device.bench.sender", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    for name, kind in (("calls", int), ("events", int), ("seed", int), ("effects", float), ("slow", float)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(defaults, name))
    parser.add_argument("--in-flight", type=int, default=target.in_flight)
    parser.add_argument("--rate", type=float, default=target.rate)
    options = parser.parse_args(arguments)
    raise_file_limit(options.calls + 4 * options.in_flight + 100)
    shape = Shape(options.calls, options.events, options.seed, options.effects, options.slow)
    secret = os.environ["VAPI_SERVER_SECRET"].encode()
    asyncio.run(
        send(
            Target(options.port, secret, in_flight=options.in_flight, rate=options.rate),
            shape,
            options.ledger,
            datetime.now(UTC).date(),
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
