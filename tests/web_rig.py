"""The door on real loopback sockets, behind a small forwarding proxy as a tunnel would be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from device.functions.sqlite_store import SqliteStore
from device.settings import WebSection
from device.web.door import Answer, Authentic, Door
from device.web.private import health_route, router
from device.web.server import Listener
from device.web.signatures import VapiVerifier

SECRET = "whsec-demo"
PATH = "/webhook/vapi"
BODY = b'{"message":{"type":"status-update","status":"in-progress","call":{"id":"c-1"}}}'
WAIT_S = 10.0


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All bytes of one side to the other, to its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[int]:
    """A TCP proxy before the port; its own port."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        for pair in ((reader, back_writer), (back_reader, writer)):
            task = asyncio.create_task(forward(*pair))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Handled:
    """A handler that remembers what it was given."""

    requests: list[Authentic] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer(body=b'{"results":[]}'))
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Authentic) -> Answer:
        self.requests.append(request)
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.answer


@dataclass
class Rig:
    """What a test needs of a running public port."""

    door: Door
    listener: Listener
    http: httpx.AsyncClient
    port: int
    """The tunnel's."""


@contextlib.asynccontextmanager
async def running(folder: Path, handled: Handled, web: WebSection | None = None) -> AsyncIterator[Rig]:
    """A public port with one webhook, behind a tunnel."""
    web = web or WebSection()
    store = SqliteStore(folder / "web.db")
    door = Door(web, store)
    verifier = VapiVerifier(web, (SECRET,), lambda: True)
    app = router([health_route(lambda: {"status": "ok"}), door.route(PATH, verifier, handled)])
    listener = Listener("test", app, "127.0.0.1", 0, slow_s=web.slow_s)
    await listener.start()
    try:
        async with (
            tunnel(listener.port) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S, trust_env=False) as http,
        ):
            yield Rig(door, listener, http, port)
    finally:
        await listener.stop()
        store.close()


async def raw(port: int, *pieces: bytes) -> bytes:
    """What comes back for these bytes, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), WAIT_S)
    finally:
        writer.close()
