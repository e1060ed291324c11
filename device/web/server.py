"""Owns the listening: uvicorn on a socket of ours, in the appliance's loop, without signals and access log.

PortTaken   code "port-taken"   somebody else listens there; it is tried again
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from device.web.door import our_mistake, send_answer
from device.web.protocol import timed

log = logging.getLogger("wakeline.web")

LEAVE_S = 5.0
"""So long running requests may go on when the listener stops."""
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
            http=timed(self._slow_s),
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
