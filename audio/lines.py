"""Owns the two ends of a sound card, without the card: what its callbacks copy and what the pump makes of it."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from typing import Any, Protocol

import numpy as np

from audio.blocks import SampleRing
from audio.buffers import Reblocker
from audio.frames import FRAME, RATE, Pcm
from audio.resample import Resampler

RING_S = 1.0
MEAN = -1
"""In the place of a channel: all of them together."""
TARGET_S = 0.025
"""Far audio kept waiting for the card: two blocks and a half."""
STEER_PER_S = 0.1
"""Change of the output's speed for each second that too much or too little waits."""
STEER_LIMIT = 0.005
"""Half a per cent: ten times the worst pair of clocks, and nobody hears it."""
SMOOTHING = 0.02
SETTLE_S = 1.0
GAP_WINDOW_S = 0.5
GAP_S = 0.02
"""Missing time shorter than this is jitter of the card's timestamps."""


class BlockTime(Protocol):
    """What a callback is told about time; the names are PortAudio's."""

    inputBufferAdcTime: float
    outputBufferDacTime: float
    currentTime: float


class BlockStatus(Protocol):
    input_overflow: bool
    output_underflow: bool


class Bell:
    """Wakes the pump from a callback without a lock: a byte in a pipe that never blocks."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)

    def ring(self) -> None:
        try:
            os.write(self._in, b"\0")
        except BlockingIOError:
            # Thousands of rings wait already: the pump wakes all the same.
            return

    def wait(self, timeout: float) -> None:
        if self._poll.poll(max(0.0, timeout) * 1000):
            os.read(self._out, 65_536)

    def close(self) -> None:
        os.close(self._in)
        os.close(self._out)


class GapMeter:
    """Finds audio the card lost, by the time it stamped on each block against the samples that came.

    A late callback only ever makes time run ahead, so the least lead within a window is the true one; a lead that
    stays through two windows is a gap. Slow drift between the clocks is followed.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._arrived = 0
        self._origin: float | None = None
        self._least = float("inf")
        self._before = float("inf")
        self._base: float | None = None
        self._window_end = round(rate * (SETTLE_S + GAP_WINDOW_S))

    def block(self, at: float, samples: int) -> int:
        """A block whose first sample was taken at `at` seconds; returns the samples newly known to be lost."""
        if self._origin is None:
            self._origin = at
        lead = (at - self._origin) * self._rate - self._arrived
        self._arrived += samples
        if self._base is None and self._arrived < round(self._rate * SETTLE_S):
            # A card that wakes up hands out a backlog with wild stamps.
            return 0
        if lead < self._least:
            self._least = lead
        if self._arrived < self._window_end:
            return 0
        self._window_end = self._arrived + round(self._rate * GAP_WINDOW_S)
        settled = min(self._least, self._before)
        self._before, self._least = self._least, float("inf")
        step = 0.0 if self._base is None else settled - self._base
        self._base = settled
        return round(step) if step > GAP_S * self._rate else 0


class CaptureLine:
    """Microphone blocks at the card's rate in (callback thread), frames at 16 kHz out (pump).

    Of several channels one is heard, or their mean. They are kept interleaved until the pump reads: a callback only
    copies.
    """

    def __init__(self, rate: int, bell: Bell, channels: int = 1, channel: int = 0) -> None:
        self.rate = rate
        self.last_call = time.monotonic()
        self.calls = 0
        self.overflows = 0
        self._bell = bell
        self._channels = channels
        self._channel = channel
        self._ring = SampleRing(round(rate * RING_S) * channels)
        self._gaps = GapMeter(rate)
        self._lost = 0
        self._told = 0
        self._resampler = Resampler(rate, RATE)
        self._reblock = Reblocker(FRAME)
        self._frames: deque[Pcm] = deque()

    def callback(self, data: Any, frames: int, when: BlockTime, status: BlockStatus) -> None:
        self._lost += self._ring.write(np.frombuffer(data, np.int16)) // self._channels
        self._lost += self._gaps.block(when.inputBufferAdcTime, frames)
        if status.input_overflow:
            self.overflows += 1
        self.calls += 1
        self.last_call = time.monotonic()
        self._bell.ring()

    def take(self) -> Pcm | None:
        """The next whole frame, if there is one."""
        if not self._frames and self._ring.level:
            self._frames.extend(self._reblock.push(self._resampler.push(self._heard())))
        return self._frames.popleft() if self._frames else None

    def _heard(self) -> Pcm:
        """All that waits, of the channel that is listened to."""
        waiting = self._ring.read()
        if self._channels == 1:
            return waiting
        channels = waiting.reshape(-1, self._channels)
        if self._channel != MEAN:
            return channels[:, self._channel]
        mean: Pcm = np.rint(channels.mean(axis=1, dtype=np.float32)).astype(np.int16)
        return mean

    def lost(self) -> int:
        """Samples at 16 kHz lost since last asked."""
        total = self._lost * RATE // self.rate
        new, self._told = total - self._told, total
        return new

    @property
    def delay(self) -> int:
        """Samples at 16 kHz that the rate change holds back."""
        return self._resampler.pending


class PlayoutLine:
    """Far frames at 16 kHz in (pump), blocks at the card's rate out (callback thread).

    The two ends run by different clocks, so the audio that waits between them is held near `TARGET_S`: in silence by
    leaving frames out, in sound by playing a trace faster or slower.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.rate = rate
        self.last_call = time.monotonic()
        self.calls = 0
        self.dry = 0
        """Samples the card asked for since the first frame when none waited."""
        self.dropped = 0
        self._channels = channels
        self._ring = SampleRing(round(rate * RING_S))
        self._resampler = Resampler(RATE, rate, follow=True)
        self._target = round(rate * TARGET_S)
        self._cushion: Pcm = np.zeros(self._target, np.int16)
        self._level = float(self._target)
        self._silent = True
        self._running = False

    def callback(self, data: Any, frames: int, when: BlockTime, status: BlockStatus) -> None:
        out: Pcm = np.frombuffer(data, np.int16).reshape(frames, self._channels)
        got = self._ring.read_into(out[:, 0])
        out[got:, 0] = 0
        if self._channels > 1:
            out[:, 1:] = out[:, :1]
        if got < frames and self._running:
            self.dry += frames - got
        self.calls += 1
        self.last_call = time.monotonic()

    def write(self, frame: Pcm) -> None:
        """Queue one far frame."""
        level = self._ring.level
        if not level:
            # Dry: at the start, after a cut, after a stall of the pump. Begin again with the cushion.
            self._ring.write(self._cushion)
            level = self._target
            self._level = float(level)
        still_silent, self._silent = self._silent, not frame.any()
        if still_silent and self._silent and level > self._target + 2 * len(frame) * self.rate // RATE:
            return
        self._level += SMOOTHING * (level - self._level)
        steer = STEER_PER_S * (self._level - self._target) / self.rate
        self._resampler.ratio = 1.0 + min(max(steer, -STEER_LIMIT), STEER_LIMIT)
        self.dropped += self._ring.write(self._resampler.push(frame))
        self._running = True

    def flush(self) -> None:
        """Nothing queued so far is heard any more."""
        self._running = False
        self._resampler.clear()
        self._ring.discard()

    @property
    def delay(self) -> int:
        """Samples at 16 kHz from `write` to the card's own buffer."""
        waiting = self._ring.level + self._resampler.pending
        return waiting * RATE // self.rate
