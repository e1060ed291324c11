"""Runs an engine in a child process behind the engine's own protocol, so that a crash or hang of it is an exception."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from models.engines import (
    Clause,
    EngineDied,
    EngineError,
    EngineTimedOut,
    EngineUnavailable,
    Hypothesis,
    ModelUnavailable,
    Pcm,
)
from models.host_wire import (
    Call,
    Cancel,
    Done,
    Failed,
    Frames,
    Item,
    ToParent,
    encode,
    to_clause,
    to_hypothesis,
)

_log = logging.getLogger("wakeline.models.host")

_LOAD_SECONDS = 60.0
_CLOSE_SECONDS = 1.0
_ERRORS = {error.code: error for error in (EngineUnavailable, ModelUnavailable, EngineDied, EngineTimedOut)}

# PDEATHSIG fires when the *thread* that started the child ends, not the process. Children are therefore always started
# by this one thread, which lives as long as the process, whatever short-lived worker asks for them.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine-spawner")


class _Process:
    """One child and the socket to it."""

    def __init__(self, factory: str, kwargs: Mapping[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = _spawner.submit(_spawn, theirs.fileno(), factory, kwargs).result()
        self.connection = ours
        self.frames = Frames()
        threading.Thread(target=_drain, args=(self.process,), name="engine-stderr", daemon=True).start()

    def end(self) -> None:
        """Close the socket, at which the child ends by itself; killed if it does not."""
        self.connection.close()
        try:
            self.process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Hosted:
    """An engine in a child process: one call at a time from the owner thread, `cancel` from any.

    A child that dies or misses a deadline fails the running call; the next call starts and loads a new one.
    """

    def __init__(self, factory: str, kwargs: Mapping[str, Any] | None = None, deadline: float = 20.0) -> None:
        """`factory` is "module:Class", `kwargs` plain values; `deadline` is seconds to each value of a call."""
        self._factory = factory
        self._kwargs = dict(kwargs or {})
        self._deadline = deadline
        self._process: _Process | None = None
        self._job = 0
        self._running: int | None = None
        self._cancelled = False
        # Guards the four above against `cancel`, and the socket against two writers.
        self._lock = threading.Lock()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._rate = 0

    def load(self) -> None:
        """Start the child and load its engine; nothing when one is running."""
        self._ready()

    @property
    def pid(self) -> int | None:
        """The child's process id, if there is a child."""
        return self._process.process.pid if self._process else None

    def cancel(self) -> None:
        """End the running call at once; no effect when none runs."""
        with self._lock:
            if self._running is None or self._process is None:
                return
            self._cancelled = True
            with contextlib.suppress(BlockingIOError):
                self._wake_in.send(b"x")
            with contextlib.suppress(OSError):
                self._process.connection.sendall(encode(Cancel(self._running)))

    def close(self) -> None:
        """End the child; the engine can be used again and then gets a new one."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _begin(self, method: str, *arguments: Any) -> Iterator[Any]:
        """Send the call now; the values of the call, as they come."""
        process = self._ready()
        job = self._send(process, method, arguments)
        return self._values(process, job, self._deadline)

    def _one(self, method: str, *arguments: Any) -> Any:
        values = list(self._begin(method, *arguments))
        return values[0] if values else None

    def _ready(self) -> _Process:
        if self._process is not None and self._process.process.poll() is None:
            return self._process
        self.close()
        process = _Process(self._factory, self._kwargs)
        with self._lock:
            self._process = process
        job = self._send(process, "load", ())
        try:
            self._rate = int(next(self._values(process, job, _LOAD_SECONDS), 0))
        except EngineError:
            self.close()
            raise
        return process

    def _send(self, process: _Process, method: str, arguments: Sequence[Any]) -> int:
        with self._lock:
            self._job += 1
            self._running, self._cancelled = self._job, False
            with contextlib.suppress(BlockingIOError):
                while self._wake_out.recv(64):
                    pass
            # A dead child is noticed by the reading that follows.
            with contextlib.suppress(OSError):
                process.connection.sendall(encode(Call(self._job, method, list(arguments))))
            return self._job

    def _values(self, process: _Process, job: int, deadline: float) -> Iterator[Any]:
        finished = False
        try:
            while not self._stopped(job):
                message = self._receive(process, job, time.monotonic() + deadline)
                if message is None or isinstance(message, Done):
                    finished = message is not None
                    return
                if isinstance(message, Failed):
                    finished = True
                    raise _ERRORS.get(message.code, EngineError)(message.message)
                yield message.value
        except (EngineDied, EngineTimedOut):
            finished = True
            raise
        finally:
            if not finished and self._running == job:
                # Given up half way: the child shall not work on.
                self.cancel()
            with self._lock:
                if self._running == job:
                    self._running = None

    def _stopped(self, job: int) -> bool:
        return self._cancelled or self._running != job

    def _receive(self, process: _Process, job: int, until: float) -> ToParent | None:
        """The next message of the job, None when it is cancelled; what is left of earlier jobs is dropped."""
        while not self._stopped(job):
            payload = process.frames.pop()
            if payload is not None:
                message: ToParent = msgspec.msgpack.decode(payload, type=Item | Done | Failed)
                if message.job == job:
                    return message
                continue
            self._wait(process, until)
        return None

    def _wait(self, process: _Process, until: float) -> None:
        left = until - time.monotonic()
        ready, _, _ = select.select([process.connection, self._wake_out], [], [], max(0.0, left))
        if not ready:
            process.process.kill()
            self.close()
            raise EngineTimedOut(f"{self._factory} did not answer in time")
        if process.connection in ready:
            try:
                data = process.connection.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                self.close()
                raise EngineDied(f"the process of {self._factory} ended")
            process.frames.feed(data)


class HostedSynthesizer(Hosted):
    """A Synthesizer in a child process."""

    @property
    def rate(self) -> int:
        """Samples per second, known after `load()`."""
        return self._rate

    def synthesize(self, text: str) -> Iterator[Clause]:
        """The clauses of a text; the child begins with this call, not with the first clause."""
        values = self._begin("synthesize", text)
        return (to_clause(value) for value in values)


class HostedRecognizer(Hosted):
    """A Recognizer in a child process."""

    def start(self, phrases: Sequence[str] = ()) -> None:
        """Begin an utterance."""
        self._one("start", list(phrases))

    def feed(self, pcm: Pcm) -> None:
        """Append audio."""
        self._one("feed", pcm)

    def partial(self) -> Hypothesis:
        """What was said so far."""
        return to_hypothesis(self._one("partial"))

    def finish(self) -> Hypothesis:
        """Close the utterance."""
        return to_hypothesis(self._one("finish"))

    def abort(self) -> None:
        """Forget the utterance."""
        self._one("abort")


def _spawn(descriptor: int, factory: str, kwargs: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    settings = msgspec.json.encode(kwargs).decode()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "models.host", str(descriptor), str(os.getpid()), factory, settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(descriptor,),
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _drain(process: subprocess.Popen[bytes]) -> None:
    # C libraries write people's words to stderr: they go no further than the debug log.
    assert process.stderr is not None
    with process.stderr as lines:
        for line in lines:
            _log.debug("%d: %s", process.pid, line.decode("utf-8", "replace").rstrip())


if __name__ == "__main__":
    from models.host_child import main

    main(sys.argv[1:])
