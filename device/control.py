"""Owns the control socket: how a second `wakeline` command reaches the running one, a JSON line each way.

A request is one JSON object on one line, the reply {"result": {...}} or {"error": {"code", "message"}}; then the
connection ends. The socket is for its owner alone (mode 0600). A lock beside it, held as long as the process lives,
says whether a socket file that is already there still has an owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import socket
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]

LIMIT = 64 * 1024
"""Bytes of a request or a reply."""
MOST_AT_ONCE = 16
_PATH_LIMIT = 107  # bytes of a Unix socket's address, given by the kernel
_log = logging.getLogger("wakeline.control")

_WHAT_TO_DO = {
    "not-running": "wakeline is not running: start it with `wakeline run` or `systemctl start wakeline`",
    "already-running": "wakeline is already running: stop it first (`systemctl stop wakeline`), or use that one",
    "not-allowed": "the control socket belongs to another user: run the command as that one (`sudo -u wakeline ...`)",
    "timed-out": "wakeline did not answer in time: look at `systemctl status wakeline`",
    "too-large": "the message is too large for the control socket",
    "bad-request": "wakeline did not understand the request: is this command as new as the running wakeline?",
    "bad-reply": "wakeline's reply was not understood: is this command as new as the running wakeline?",
    "busy": "wakeline is busy with other commands: try again in 5 seconds",
    "starting": "wakeline is starting its microphone and loudspeaker: try again in 5 seconds",
    "path-invalid": "the path of the control socket is too long or not writable: set a shorter runtime_dir",
    "failed": "wakeline could not do that: its log says why",
}


class ControlError(Exception):
    """A control request did not work; `code` is stable, the message says what to do next."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or _WHAT_TO_DO.get(code, code))
        self.code = code

    @property
    def message(self) -> str:
        return str(self)


class ControlServer:
    """Answers requests on `path` with what `handler` returns; its `ControlError` reaches the client unchanged."""

    def __init__(self, path: Path, handler: Handler, *, read_s: float = 5.0, answer_s: float = 30.0) -> None:
        self.path = path
        self._handler = handler
        self._read_s = read_s
        self._answer_s = answer_s
        self._server: asyncio.Server | None = None
        self._lock: int | None = None
        self._inode = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises ControlError "already-running" or "path-invalid"."""
        if len(os.fsencode(self.path)) + 4 > _PATH_LIMIT:
            raise ControlError("path-invalid", f"{_WHAT_TO_DO['path-invalid']} ({self.path})")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _take_lock(self.path.with_name(self.path.name + ".lock"))
            listener = self._bind()
        except OSError as error:
            self._let_go_of_lock()
            raise ControlError(
                "path-invalid", f"{_WHAT_TO_DO['path-invalid']} ({self.path}: {error.strerror})"
            ) from error
        self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=LIMIT)

    async def stop(self) -> None:
        """Ends the running requests too; the socket file goes if it is still ours."""
        if self._server is not None:
            self._server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            self._server = None
            with contextlib.suppress(OSError):
                if self.path.stat().st_ino == self._inode:
                    self.path.unlink()
        self._let_go_of_lock()

    async def __aenter__(self) -> ControlServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _bind(self) -> socket.socket:
        """Bound under another name and moved into place, so that it is never there with a wider mode."""
        new = self.path.with_name(self.path.name + ".new")
        new.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.bind(str(new))
            new.chmod(0o600)
            listener.listen()
            new.replace(self.path)  # a stale socket of a dead process is replaced here: we hold the lock
            self._inode = self.path.stat().st_ino
        except OSError:
            listener.close()
            raise
        return listener

    def _let_go_of_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        crowded = len(self._connections) >= MOST_AT_ONCE
        self._connections.add(task)
        try:
            reply = _error(ControlError("busy")) if crowded else await self._reply(reader)
            writer.write(_encode(reply))
            async with asyncio.timeout(self._read_s):
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # the client went away; its request was handled or not, as it can ask
        finally:
            self._connections.discard(task)
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> Message:
        try:
            async with asyncio.timeout(self._read_s):
                request = _decode(await reader.readuntil(b"\n"), "bad-request")
            async with asyncio.timeout(self._answer_s):
                return {"result": await self._handler(request)}
        except asyncio.LimitOverrunError:
            return _error(ControlError("too-large"))
        except asyncio.IncompleteReadError:
            return _error(ControlError("bad-request"))
        except TimeoutError:
            return _error(ControlError("timed-out"))
        except ControlError as error:
            return _error(error)
        except Exception as error:
            # A mistake of ours; the requester is told, the loop goes on. Its text may hold people's words: not logged.
            where = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("a control request failed: %s in %s:%d", type(error).__name__, where.filename, where.lineno or 0)
            return _error(ControlError("failed"))


def send(path: Path, request: Message, timeout: float = 10.0) -> Message:
    """Ask the running wakeline and wait for its answer. Raises ControlError."""
    line = _encode(request)
    if len(line) > LIMIT:
        raise ControlError("too-large")
    deadline = time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(str(path))
            with contextlib.suppress(BrokenPipeError):  # refused before it was read: the reply says why
                client.sendall(line)
            answer = _read_line(client, deadline)
    except TimeoutError as error:
        raise ControlError("timed-out") from error
    except PermissionError as error:
        raise ControlError("not-allowed") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError("not-running") from error
    except OSError as error:
        raise ControlError("bad-reply") from error
    return _result(_decode(answer, "bad-reply"))


def _read_line(client: socket.socket, deadline: float) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        client.settimeout(left)
        chunk = client.recv(16 * 1024)
        if not chunk:
            break
        answer += chunk
        if len(answer) > LIMIT:
            raise ControlError("too-large")
    return bytes(answer)


def _result(answer: Message) -> Message:
    error = answer.get("error")
    if isinstance(error, dict):
        raise ControlError(str(error.get("code", "failed")), str(error.get("message", "")))
    result = answer.get("result")
    if not isinstance(result, dict):
        raise ControlError("bad-reply")
    return result


def _take_lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ControlError("already-running") from error
    return fd


def _error(error: ControlError) -> Message:
    return {"error": {"code": error.code, "message": error.message}}


def _encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _decode(line: bytes, code: str) -> Message:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ControlError(code) from error
    if not isinstance(message, dict):
        raise ControlError(code)
    return message
