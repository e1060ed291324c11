"""Owns the listening: uvicorn on a socket of ours, in the appliance's loop, without signals and access log.

PortTaken   code "port-taken"   somebody else listens there; it is tried again
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from device.web.door import BEGAN, our_mistake, send_answer

log = logging.getLogger("wakeline.web")

MOST_CONNECTIONS = 4096
MOST_HEAD = 65_536
"""Bytes before the body."""
LEAVE_S = 5.0
"""So long running requests may go on when the listener stops."""
_BODY_GRACE_S = 2.0
"""The door says 408 for a slow body; a connection that is still there after this is cut."""
_BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class PortTaken(Exception):
    """It cannot be listened on this port."""

    code = "port-taken"


class Listener:
    """One port."""

    def __init__(self, name: str, app: ASGIApp, host: str, port: int, *, slow_s: float) -> None:
        """Nothing is opened before `start`. Port 0 takes a free one."""
        self.name = name
        self._host = host
        self._wanted = port
        self._app = _Guard(app)
        self._slow_s = slow_s
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The real one; 0 while it is closed."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    async def start(self) -> None:
        """Returns when it answers; raises `PortTaken`."""
        self._socket = _bind(self._host, self._wanted)
        config = uvicorn.Config(
            self._app,
            http=_protocol(self._slow_s),
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # What strangers send is counted, not logged.
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(LEAVE_S),
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]), name=f"wakeline-{self.name}")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait({up, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._serving.done():
            await self.stop()
        log.info("%s: listening on %s:%d", self.name, self._host, self.port)

    async def stop(self) -> None:
        """No new connection; running requests end, or are cut after a while."""
        server, serving, self._server, self._serving = self._server, self._serving, None, None
        try:
            if server is not None and serving is not None:
                server.down.set()
                await serving
        finally:
            if server is not None:
                server.cut()
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    async def keep(self) -> None:
        """Be there until cancelled: a port that is taken is tried again, and the appliance goes on meanwhile."""
        attempt = 0
        try:
            while True:
                try:
                    await self.start()
                    break
                except PortTaken as taken:
                    wait = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
                    attempt += 1
                    log.error("%s: %s: %s; next attempt in %g s", self.name, taken.code, taken, wait)
                    await asyncio.sleep(wait)
            await asyncio.Event().wait()
        finally:
            await self.stop()


class _Server(uvicorn.Server):
    """Stopped by an event instead of a signal, and without looking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.down = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.up.set()
        await self.down.wait()

    def cut(self) -> None:
        """What has not ended by itself."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


class _Guard:
    """Nothing but HTTP comes in, and no traceback gets out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = False

        async def sending(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            answer = our_mistake(scope["path"], error)
            if not begun:
                await send_answer(send, answer)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1)  # A port that another one listens on is known here; uvicorn sets the backlog.
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        what = (
            "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        raise PortTaken(f"port {port} on {host} {what}") from error
    return listening


def _protocol(slow_s: float) -> type[HttpToolsProtocol]:
    """uvicorn waits for ever for the end of a head or a body. Here a request has so long from its first byte."""

    class Timed(HttpToolsProtocol):
        _arrival: asyncio.TimerHandle | None = None
        _began = 0.0
        _head = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.abort()
                return
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._arrival is None:
                self._arm()
            self._head += len(data)
            super().data_received(data)
            if self._head > MOST_HEAD and not self.transport.is_closing():
                self._end(431, "too-large")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._arrival is None:
                self._arm()
            self.scope["state"][BEGAN] = self._began

        def on_headers_complete(self) -> None:
            self._head = -(1 << 62)
            super().on_headers_complete()
            self._disarm()
            self._arrival = self.loop.call_at(self._began + slow_s + _BODY_GRACE_S, self._cut)

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._disarm()
            self._head = 0

        def send_400_response(self, msg: str) -> None:
            self._end(400, "bad-request")

        def _unsupported_upgrade_warning(self) -> None:
            """It is answered as the request it is; what comes after it is not HTTP any more."""
            if self.cycle is not None:
                self.cycle.keep_alive = False

        def _arm(self) -> None:
            self._began = self.loop.time()
            self._arrival = self.loop.call_at(self._began + slow_s, self._end, 408, "too-slow")

        def _disarm(self) -> None:
            if self._arrival is not None:
                self._arrival.cancel()
                self._arrival = None

        def _end(self, status: int, code: str) -> None:
            self._disarm()
            if self.cycle is None or self.cycle.response_complete:  # Never into the midst of another answer.
                body = json.dumps({"error": code}).encode()
                head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\nconnection: close\r\n"
                self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            self.transport.close()

        def _cut(self) -> None:
            self._disarm()
            self.transport.abort()

    return Timed
