"""Two cards with clocks of their own, ten minutes long: nothing piles up, nothing clicks, the delay is known."""

from __future__ import annotations

import numpy as np
import pytest

from audio.frames import FRAME, RATE, Pcm
from audio.lines import PlayoutLine
from tests.test_portaudio_lines import STATUS, When

CARD = 48_000
BLOCK = CARD // 100
FRAMES = 60_000
pytestmark = pytest.mark.sound  # No card is needed, but half a minute of work.
HZ = 20
PERIOD = RATE // HZ
LEVEL = 12_000
SETTLED = 6_000
"""Frames; a minute after the start the speed has found the clock."""


def card_plays(ppm: float) -> tuple[Pcm, list[float], list[int], PlayoutLine]:
    """Ten minutes of a tone through an output whose clock runs so much faster than the microphone's: what came out; ten
    times a second by how many samples the estimated delay was wrong, and that estimate."""
    line = PlayoutLine(CARD, 1)
    out = np.zeros(BLOCK, np.int16)
    played, wrong, delays = [], [], []
    due, step = 0.01, 0.01 / (1 + ppm * 1e-6)
    slow = 2 * np.pi * HZ / RATE
    for index in range(FRAMES):
        while due <= index * 0.01:
            line.callback(out, BLOCK, When(), STATUS)
            played.append(out.copy())
            due += step
        at = np.arange(index * FRAME, (index + 1) * FRAME)
        line.write(np.rint(LEVEL * np.sin(slow * at)).astype(np.int16))
        if index >= SETTLED and index % 10 == 0:
            delays.append(line.delay)
            wrong.append((_delay(played[-10:], index + 1) - line.delay + PERIOD / 2) % PERIOD - PERIOD / 2)
    return np.concatenate(played), wrong, delays, line


def _delay(blocks: list[Pcm], frames: int) -> float:
    """Samples at 16 kHz between what has been written and what has come out, by the phase: but for whole periods."""
    heard = np.concatenate(blocks).astype(np.float64)
    at = np.arange(-len(heard), 0) / CARD
    phase = np.angle(np.exp(-2j * np.pi * HZ * at) @ heard) + np.pi / 2
    return float(frames * FRAME - phase / (2 * np.pi) * PERIOD)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_ten_minutes_between_two_clocks(ppm: int) -> None:
    heard, wrong, delays, line = card_plays(ppm)
    assert (line.dry, line.dropped) == (0, 0)
    print(
        f"{ppm:+} ppm: delay {min(delays) / 16:.0f} to {max(delays) / 16:.0f} ms, wrong by {max(map(abs, wrong)):.0f}"
    )
    assert max(delays) - min(delays) < 2 * FRAME, "nothing piles up: a block comes, a block goes"
    assert abs(np.mean(delays[-600:]) - np.mean(delays[:600])) < FRAME // 2
    assert max(abs(error) for error in wrong) < FRAME, "the delay is known within a block"
    # A sine's second difference is bounded by its own: one sample too many or too few would stand out.
    bends = np.abs(np.diff(heard[CARD:].astype(np.float64), 2))
    assert bends.max() < 3 + 2 * LEVEL * (2 * np.pi * HZ / CARD) ** 2
    assert len(heard) / CARD == pytest.approx(600 * (1 + ppm * 1e-6), abs=0.05)
