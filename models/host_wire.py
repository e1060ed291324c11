"""The frames between a hosted engine and its parent: length, then a msgpack message."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
import numpy as np

from models.engines import Clause, EngineError, Hypothesis, Pcm, WordTime

_LENGTH = struct.Struct("<I")
_LARGEST = 64 * 1024 * 1024
"""No clause comes near it: a length above it means the stream is out of step."""


class Call(msgspec.Struct, tag=True, frozen=True):
    """Parent to child: run a method of the engine."""

    job: int
    method: str
    arguments: list[Any]


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Parent to child: end this job, running or still waiting."""

    job: int


class Item(msgspec.Struct, tag=True, frozen=True):
    """Child to parent: a value of the job."""

    job: int
    value: Any


class Done(msgspec.Struct, tag=True, frozen=True):
    """Child to parent: the job has ended; of a cancelled one too."""

    job: int


class Failed(msgspec.Struct, tag=True, frozen=True):
    """Child to parent: the job raised; `code` is the EngineError's."""

    job: int
    code: str
    message: str


ToChild = Call | Cancel
ToParent = Item | Done | Failed


def encode(message: ToChild | ToParent) -> bytes:
    """A message as it goes over the socket, audio as plain bytes."""
    payload = msgspec.msgpack.encode(message, enc_hook=_plain)
    return _LENGTH.pack(len(payload)) + payload


class Frames:
    """Collects what a socket delivers into whole payloads."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._data += data

    def pop(self) -> bytes | None:
        """The next whole payload."""
        if len(self._data) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._data)
        if length > _LARGEST:
            raise EngineError("the stream of a hosted engine is out of step")
        end = _LENGTH.size + length
        if len(self._data) < end:
            return None
        payload = bytes(self._data[_LENGTH.size : end])
        del self._data[:end]
        return payload


def read(connection: socket.socket, frames: Frames) -> bytes | None:
    """The next payload of a blocking socket; None at its end."""
    while (payload := frames.pop()) is None:
        data = connection.recv(1 << 16)
        if not data:
            return None
        frames.feed(data)
    return payload


def to_pcm(data: bytes) -> Pcm:
    """Audio out of a message."""
    return np.frombuffer(data, np.int16)


def to_clause(value: Any) -> Clause:
    """A clause out of an item."""
    words = msgspec.convert(value.get("words", ()), tuple[WordTime, ...])
    return Clause(value["text"], to_pcm(value["pcm"]), words)


def to_hypothesis(value: Any) -> Hypothesis:
    """A hypothesis out of an item."""
    return msgspec.convert(value, Hypothesis)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype(np.int16, copy=False).tobytes()
    raise NotImplementedError(f"{type(value).__name__} does not travel")
