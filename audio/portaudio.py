"""Owns the sound card: finds it, opens it, feeds and drains it, says when it is gone. Only here is sounddevice used.

Two streams, never a duplex one: over the PulseAudio plugin a duplex stream dies after two callbacks, and a muted
microphone must be closed for real while the loudspeaker goes on. Streams are always closed explicitly: one that is
garbage-collected while it runs takes the process with it.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

from audio.devices import CardCode, Device, Direction, SoundCardError, SoundCardLost, capture_channels, find_device
from audio.frames import RATE, Pcm, Samples
from audio.lines import Bell, CaptureLine, PlayoutLine

__all__ = ["Device", "SoundCard", "SoundCardError", "SoundCardLost", "find_device", "list_devices", "rescan"]

LATENCY_S = 0.04
"""Asked of the card: four blocks, enough for a pump that is late now and then."""
STALL_S = 1.0
"""A card that calls no more for so long is gone."""
START_S = 3.0
"""... but one that has just been opened may take its time: an idle sound server sleeps up to 2 s."""
BLOCKS_PER_S = 100


@dataclass(frozen=True, slots=True)
class Latency:
    """What the card reports, in samples at 16 kHz."""

    input: Samples
    output: Samples


@dataclass(frozen=True, slots=True)
class _Capture:
    stream: Any
    line: CaptureLine
    device: Device
    since: float


@dataclass(frozen=True, slots=True)
class _Playout:
    stream: Any
    line: PlayoutLine
    device: Device
    since: float


def _portaudio() -> Any:
    """sounddevice, loaded where it is needed: loading it opens every driver."""
    try:
        import sounddevice
    except OSError as error:
        raise SoundCardError("device-missing", f"{error}: install the package libportaudio2") from None
    return sounddevice


def list_devices() -> list[Device]:
    """What PortAudio knows; it looks once per process, see `rescan`."""
    sd = _portaudio()
    default_input, default_output = sd.default.device
    return [
        Device(
            index=int(entry["index"]),
            name=str(entry["name"]),
            inputs=int(entry["max_input_channels"]),
            outputs=int(entry["max_output_channels"]),
            rate=round(entry["default_samplerate"]),
            default_input=entry["index"] == default_input,
            default_output=entry["index"] == default_output,
        )
        for entry in sd.query_devices()
    ]


def rescan() -> None:
    """Let PortAudio look again, for a card that came back. No stream may be open in this process."""
    sd = _portaudio()
    with contextlib.suppress(sd.PortAudioError):
        sd._terminate()  # refused when an earlier attempt got no further than this
    try:
        sd._initialize()
    except sd.PortAudioError as error:
        raise SoundCardError("device-failed", f"the sound system does not start: {_one_line(error)}") from None


class SoundCard:
    """Microphone and loudspeaker as 16 kHz frames, for one pump thread.

    `input` and `output` name a device (part of the name, or index); "" is the system's default. Of a microphone with
    several channels `channel` is heard (-1: their mean); `channels` is how many it has, 0: as the card says.
    """

    def __init__(
        self,
        input: str | int = "",
        output: str | int = "",
        *,
        channel: int = 0,
        channels: int = 0,
        latency: float = LATENCY_S,
    ) -> None:
        self._wanted: dict[Direction, str | int] = {"input": input, "output": output}
        self._channel = channel
        self._channels = channels
        self._latency = latency
        self._bell = Bell()
        self._capture: _Capture | None = None
        self._playout: _Playout | None = None
        self._checked = self._awake = time.monotonic()

    def open(self) -> None:
        """Open both ends, or none."""
        try:
            self.open_output()
            self.open_input()
        except SoundCardError:
            self.close_input()
            self.close_output()
            raise

    def open_input(self) -> None:
        """Open the microphone; what was heard before is forgotten."""
        self.close_input()
        device = find_device(list_devices(), self._wanted["input"], "input")
        channels = capture_channels(device, self._channel, self._channels)
        errors: list[str] = []
        for rate, block in _attempts(device.rate):
            line = CaptureLine(rate, self._bell, channels, self._channel)
            stream = self._start("RawInputStream", device, rate, block, channels, line, errors)
            if stream is not None:
                self._capture = _Capture(stream, line, device, time.monotonic())
                return
        raise SoundCardError("device-failed", f"the sound input {device.name!r} does not open: {errors[0]}")

    def open_output(self) -> None:
        self.close_output()
        device = find_device(list_devices(), self._wanted["output"], "output")
        # A mono stream sounds from the left loudspeaker only where the card is driven directly.
        channels = min(2, device.outputs)
        errors: list[str] = []
        for rate, block in _attempts(device.rate):
            line = PlayoutLine(rate, channels)
            stream = self._start("RawOutputStream", device, rate, block, channels, line, errors)
            if stream is not None:
                self._playout = _Playout(stream, line, device, time.monotonic())
                return
        raise SoundCardError("device-failed", f"the sound output {device.name!r} does not open: {errors[0]}")

    def _start(
        self,
        kind: str,
        device: Device,
        rate: int,
        block: int,
        channels: int,
        line: CaptureLine | PlayoutLine,
        errors: list[str],
    ) -> Any | None:
        """A running stream, or None and one more reason in `errors`."""
        sd = _portaudio()
        stream = None
        try:
            stream = getattr(sd, kind)(
                samplerate=rate,
                blocksize=block,
                device=device.index,
                channels=channels,
                dtype="int16",
                latency=self._latency,
                callback=line.callback,
            )
            stream.start()
        except (sd.PortAudioError, ValueError) as error:
            errors.append(_one_line(error))
            _close(stream)
            return None
        return stream

    def close_input(self) -> None:
        """Really give the microphone back; the loudspeaker goes on."""
        if self._capture is not None:
            _close(self._capture.stream)
            self._capture = None

    def close_output(self) -> None:
        if self._playout is not None:
            _close(self._playout.stream)
            self._playout = None

    def close(self) -> None:
        """Give everything back; this object is not used again."""
        self.close_input()
        self.close_output()
        self._bell.close()

    @property
    def hearing(self) -> bool:
        return self._capture is not None

    @property
    def devices(self) -> tuple[Device | None, Device | None]:
        """The open input and output."""
        return (
            self._capture.device if self._capture else None,
            self._playout.device if self._playout else None,
        )

    def read(self, timeout: float) -> Pcm | None:
        """The next near frame (160 samples), or None after `timeout` seconds, also while the microphone is closed."""
        deadline = time.monotonic() + timeout
        while True:
            if self._capture is not None and (frame := self._capture.line.take()) is not None:
                return frame
            self._check()
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._bell.wait(min(left, STALL_S / 4))

    def write(self, frame: Pcm) -> None:
        """Play one far frame (160 samples); dropped while the loudspeaker is closed."""
        if self._playout is not None:
            self._playout.line.write(frame)

    def flush_output(self) -> None:
        """Silence as soon as the card has played what it already holds."""
        if self._playout is not None:
            self._playout.line.flush()

    def lost(self) -> int:
        """Samples at 16 kHz that the card dropped since last asked; put so much silence in their place."""
        return self._capture.line.lost() if self._capture is not None else 0

    @property
    def underflow(self) -> int:
        """Samples (at the card's rate) that the loudspeaker wanted and nobody had written in time."""
        return self._playout.line.dry if self._playout is not None else 0

    @property
    def latency(self) -> Latency:
        return Latency(_reported(self._capture), _reported(self._playout))

    @property
    def echo_delay(self) -> Samples:
        """Estimate: so long after a frame was given to `write` its echo comes out of `read`."""
        inside = (self._capture.line.delay if self._capture else 0) + (self._playout.line.delay if self._playout else 0)
        return Samples(self.latency.input + self.latency.output + inside)

    def _check(self) -> None:
        """Raise if an open end has gone quiet."""
        now = time.monotonic()
        if now - self._checked > STALL_S / 2:
            # Nobody was watching (the process was stopped, the pump held up): the card gets its second from here on.
            self._awake = now
        self._checked = now
        if self._capture is not None:
            _check_end(self._capture, "input", "no-input", self._awake)
        if self._playout is not None:
            _check_end(self._playout, "output", "device-failed", self._awake)


def _attempts(native: int) -> list[tuple[int, int]]:
    """Rate and block length to try, best first: the card's own rate in 10 ms blocks, then what most cards take."""
    rates = list(dict.fromkeys([native, 48_000, 44_100, RATE]))
    return [(rate, rate // BLOCKS_PER_S) for rate in rates] + [(rate, 0) for rate in rates]


def _reported(end: _Capture | _Playout | None) -> Samples:
    return Samples(round(end.stream.latency * RATE) if end is not None else 0)


def _check_end(end: _Capture | _Playout, direction: Direction, silent: CardCode, awake: float) -> None:
    now = time.monotonic()
    limit = START_S if now - end.since < START_S else STALL_S
    if now - max(end.line.last_call, awake) > limit:
        raise SoundCardLost(silent, f"the sound {direction} {end.device.name!r} has gone quiet")
    if not _active(end.stream):
        raise SoundCardLost("device-failed", f"the sound {direction} {end.device.name!r} has stopped")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _active(stream: Any) -> bool:
    sd = _portaudio()
    with contextlib.suppress(sd.PortAudioError):
        return bool(stream.active)
    return False


def _close(stream: Any | None) -> None:
    if stream is not None:
        # A card that is gone cannot be closed properly; what matters is that the stream is let go.
        stream.close(ignore_errors=True)
