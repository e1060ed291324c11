"""Owns the wire between ears and app: its messages, its version, its framing, and what may be dropped when it is full.

A frame is a 4-byte big-endian length and a msgpack map tagged with its type. Both ends belong to one installation, so a
different version means a half-upgraded machine: the ears end and are started again.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from audio.commands import Abandon, Answer
from audio.events import Event, LevelMeasured, PartialText
from audio.settings import LoopSettings
from models.wake_words import WakeWord

VERSION = 2
_HEADER = struct.Struct(">I")
_MAX_FRAME = 1 << 22
_MAX_WAITING = 4096


class WireError(Exception):
    """The other end does not speak this wire, or does not read it."""

    code = "wire-failed"


class EarsConfig(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """First message to new ears: who they are and what they use."""

    version: int = VERSION
    epoch: int
    loop: LoopSettings = LoopSettings()
    input: str | int = ""
    output: str | int = ""
    channel: int = 0
    channels: int = 0
    muted: bool = False
    """Begin with a closed microphone."""
    wake_engine: str = "micro"
    wake_words: tuple[WakeWord, ...] = (WakeWord("hey_jarvis"),)
    wake_confirm: bool = True
    """openWakeWord looks at what microWakeWord has heard."""
    stt_engine: str = "moonshine"
    stt_model: str = ""
    tts_engine: str = "piper"
    tts_speed: float = 1.0
    usual: tuple[str, ...] = ()
    """Replies that are synthesized before anybody needs them."""


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """The pump is alive; sent whether or not there is a microphone."""


class StopEars(msgspec.Struct, frozen=True, tag=True):
    """Close the card and end."""


Message = Event | Answer | Abandon | EarsConfig | Heartbeat | StopEars

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One frame, header included."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class Unframer:
    """Bytes in, messages out.

    Raises:
        WireError: what arrived is no frame of this version.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def push(self, data: bytes) -> Iterator[Message]:
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > _MAX_FRAME:
                raise WireError(f"frame of {length} bytes")
            if len(self._buffer) < _HEADER.size + length:
                return
            body = bytes(self._buffer[_HEADER.size : _HEADER.size + length])
            del self._buffer[: _HEADER.size + length]
            try:
                yield _decoder.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise WireError(f"not a message: {type(error).__name__}") from None


class Outbox:
    """Messages that wait to be sent. A level, or a turn's partial, replaces the one that still waits; the rest is kept.

    Thread-safe; `put` never blocks on the socket.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[object, Message] = OrderedDict()
        self._serial = 0
        self._ready = threading.Condition()
        self._closed = False

    def put(self, message: Message) -> None:
        """Raises `WireError` when the other end has not read for so long that messages would be lost."""
        with self._ready:
            if len(self._waiting) >= _MAX_WAITING:
                raise WireError("the other end does not read")
            self._serial += 1
            match message:
                case LevelMeasured():
                    key: object = LevelMeasured
                case PartialText():
                    key = (PartialText, message.turn)
                case _:
                    key = self._serial
            self._waiting[key] = message
            self._ready.notify()

    def get(self) -> Message | None:
        """The next message; None when closed and empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popitem(last=False)[1] if self._waiting else None

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify_all()


def send_all(sock: socket.socket, outbox: Outbox) -> None:
    """Thread body: send until the outbox is closed and empty or the other end is gone."""
    while (message := outbox.get()) is not None:
        try:
            sock.sendall(encode(message))
        except OSError:
            return


def receive_all(sock: socket.socket) -> Iterator[Message]:
    """Messages until the end of file."""
    unframer = Unframer()
    while True:
        try:
            data = sock.recv(1 << 16)
        except OSError:
            return
        if not data:
            return
        yield from unframer.push(data)
