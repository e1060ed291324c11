"""A cheap HTTP client: keep-alive POSTs on raw sockets, so that the sender does not measure itself. No TLS."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

_END: Final = b"\r\n\r\n"


class SendFailed(Exception):
    """No whole answer came; the server may have done it all the same."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One socket, one request at a time; opened when it is needed, and again after it was closed."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[Reply] | None = None

    async def post(self, head: bytes, body: bytes) -> Reply:
        """Send one request; `head` ends with its empty line.

        Raises:
            SendFailed: not connected, or closed before the answer was whole.
        """
        if self._transport is None or self._transport.is_closing():
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)
            except OSError as error:
                raise SendFailed(str(error)) from error
        assert self._transport is not None
        assert self._waiting is None
        self._received.clear()
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._transport.write(head + body)
        try:
            return await waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(SendFailed("closed before the answer was whole"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_END)
        if end < 0 or self._waiting is None or self._waiting.done():
            return
        head = bytes(self._received[:end]).lower()
        length = _length(head)
        if len(self._received) - end - len(_END) < length:
            return
        start = end + len(_END)
        self._waiting.set_result(Reply(int(head[9:12]), bytes(self._received[start : start + length])))
        if self._transport is not None and b"\r\nconnection: close" in head:
            self._transport.close()


def _length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r", 1)[0]) if at >= 0 else 0
