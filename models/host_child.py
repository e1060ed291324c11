"""The child's side of a hosted engine: one engine, one job at a time, the socket read in a thread beside it."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec

from models.engines import EngineError
from models.host_wire import Call, Cancel, Done, Failed, Frames, Item, ToChild, ToParent, encode, read, to_pcm
from models.process import die_with, give_memory_back

_METHODS = frozenset(("load", "synthesize", "start", "feed", "partial", "finish", "abort"))
_LONG = frozenset(("synthesize", "finish"))
"""After these nobody waits for the engine for a while."""


def main(arguments: list[str]) -> None:
    """Serve one engine until the socket ends: file descriptor, parent's pid, factory, its arguments as JSON."""
    descriptor, parent, factory, settings = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(int(parent))
    connection = socket.socket(fileno=int(descriptor))
    module, _, name = factory.partition(":")
    _Child(connection, module, name, msgspec.json.decode(settings)).serve()


class _Child:
    """The main thread runs the engine; the reader thread takes calls, and cancels the running one."""

    def __init__(self, connection: socket.socket, module: str, name: str, settings: dict[str, Any]) -> None:
        self._connection = connection
        self._module, self._name, self._settings = module, name, settings
        self._engine: Any = None
        # The parent has one call under way, and feeds and cancels beside it; the socket's buffer bounds the rest.
        self._calls: queue.Queue[Call] = queue.Queue(maxsize=256)
        self._lock = threading.Lock()
        self._job = 0
        self._cancelled = 0

    def serve(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            call = self._calls.get()
            with self._lock:
                self._job = call.job
            self._send(self._run(call))
            if call.method in _LONG:
                give_memory_back()

    def _read(self) -> None:
        frames = Frames()
        decoder = msgspec.msgpack.Decoder(ToChild)
        try:
            while (payload := read(self._connection, frames)) is not None:
                message = decoder.decode(payload)
                if isinstance(message, Call):
                    self._calls.put(message)
                else:
                    self._cancel(message)
        finally:
            # The parent is gone: nobody wants the rest of a job, and the engine may be deep in C code.
            os._exit(0)

    def _cancel(self, message: Cancel) -> None:
        with self._lock:
            # Job numbers rise, and a job is only cancelled while it is the newest.
            self._cancelled = max(self._cancelled, message.job)
            if message.job == self._job and hasattr(self._engine, "cancel"):
                self._engine.cancel()

    def _run(self, call: Call) -> ToParent:
        try:
            for value in self._values(call):
                if self._is_cancelled(call.job):
                    break
                self._send(Item(call.job, value))
        except EngineError as error:
            return Failed(call.job, error.code, str(error))
        except Exception as error:  # whatever the engine's libraries raise, the parent hears of it
            traceback.print_exc()
            # The type alone: the message may hold people's words, and this one is logged.
            return Failed(call.job, EngineError.code, f"{self._name}.{call.method} raised {type(error).__name__}")
        return Done(call.job)

    def _values(self, call: Call) -> Iterator[Any]:
        if call.method not in _METHODS:
            raise EngineError(f"no method {call.method!r} can be called on a hosted engine")
        if call.method == "load":
            self._engine = getattr(importlib.import_module(self._module), self._name)(**self._settings)
            self._engine.load()
            yield getattr(self._engine, "rate", 0)
            return
        if call.method == "synthesize":
            clauses = self._engine.synthesize(*call.arguments)
            # Asked again after the job has begun: a cancel that came just before would have ended nothing.
            if not self._is_cancelled(call.job):
                yield from clauses
            return
        arguments = [to_pcm(value) if isinstance(value, bytes) else value for value in call.arguments]
        result = getattr(self._engine, call.method)(*arguments)
        if result is not None:
            yield result

    def _is_cancelled(self, job: int) -> bool:
        return job <= self._cancelled

    def _send(self, message: ToParent) -> None:
        try:
            self._connection.sendall(encode(message))
        except OSError:
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
