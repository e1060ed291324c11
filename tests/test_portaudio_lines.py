"""What a card's callbacks copy and what the pump makes of it: budget, gaps, drift, stalls, cuts."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from audio.frames import FRAME, RATE, Pcm
from audio.lines import Bell, CaptureLine, GapMeter, PlayoutLine
from audio.resample import Resampler

TONE: Pcm = np.rint(8_000 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)).astype(np.int16)


class When:
    def __init__(self, seconds: float = 0.0) -> None:
        self.inputBufferAdcTime = self.outputBufferDacTime = self.currentTime = seconds


class Status:
    input_overflow = output_underflow = False


STATUS = Status()


# -- what the callbacks do ------------------------------------------------------------------------------------------
ALLOWED = {"frombuffer", "reshape", "monotonic", "write", "len", "min", "max", "round"}


def calls_made(action: Any) -> set[str]:
    """Names of the C functions called inside; a lock, a queue or an engine would show."""
    names: set[str] = set()

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "c_call":
            names.add(argument.__name__)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return names - {"setprofile"}


@pytest.fixture
def bell() -> Iterator[Bell]:
    bell = Bell()
    yield bell
    bell.close()


def test_callbacks_only_copy(bell: Bell) -> None:
    capture = CaptureLine(48_000, bell)
    playout = PlayoutLine(48_000, 2)
    playout.write(TONE[:FRAME])
    block, out = bytes(960), bytearray(1920)
    capture.callback(block, 480, When(), STATUS)
    assert calls_made(lambda: capture.callback(block, 480, When(0.01), STATUS)) <= ALLOWED
    assert calls_made(lambda: playout.callback(out, 480, When(), STATUS)) <= ALLOWED


def test_callbacks_keep_no_memory(bell: Bell) -> None:
    capture, playout = CaptureLine(48_000, bell), PlayoutLine(48_000, 2)
    block, out, when = bytes(960), bytearray(1920), When()

    def run(times: int) -> None:
        for _ in range(times):
            capture.callback(block, 480, when, STATUS)
            playout.callback(out, 480, when, STATUS)

    run(200)  # the ring is full: from here on it drops
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run(2_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 4_096


def test_the_bell_never_blocks_and_wakes_once(bell: Bell) -> None:
    for _ in range(200_000):
        bell.ring()
    bell.wait(0)
    bell.wait(0)
    bell.wait(0)


# -- near end -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", [RATE, 44_100, 48_000])
@pytest.mark.parametrize("block", [64, 480, 1_333])
def test_blocks_become_whole_frames(bell: Bell, rate: int, block: int) -> None:
    line = CaptureLine(rate, bell)
    card = np.rint(8_000 * np.sin(2 * np.pi * 500 * np.arange(rate) / rate)).astype(np.int16)
    frames: list[Pcm] = []
    for at in range(0, rate - block, block):
        line.callback(card[at : at + block].tobytes(), block, When(at / rate), STATUS)
        while (frame := line.take()) is not None:
            frames.append(frame)
    assert {len(frame) for frame in frames} == {FRAME}
    heard = np.concatenate(frames).astype(np.int32)
    whole = Resampler(rate, RATE).push(card)
    assert len(heard) > RATE * 9 // 10
    assert np.abs(heard - whole[: len(heard)]).max() <= 1
    assert line.lost() == 0


@pytest.mark.parametrize(("channel", "expected"), [(0, 300), (3, 306), (-1, 303)])
def test_one_of_several_channels_is_heard_or_their_mean(bell: Bell, channel: int, expected: int) -> None:
    line = CaptureLine(RATE, bell, 4, channel)
    block = np.tile(np.array([300, 302, 304, 306], np.int16), 160)
    for index in range(150):
        line.callback(block.tobytes(), 160, When(index / 100), STATUS)
    frame = line.take()
    assert frame is not None
    assert frame.tolist() == [expected] * FRAME
    assert line.lost() == RATE // 2, "counted once, not for each channel"


def test_a_pump_that_is_late_loses_a_counted_part(bell: Bell) -> None:
    line = CaptureLine(48_000, bell)
    for index in range(150):
        line.callback(bytes(960), 480, When(index / 100), STATUS)
    assert line.lost() == RATE // 2
    assert line.lost() == 0


def blocks(meter: GapMeter, start: float, count: int, jitter: float = 0.0, ppm: float = 0.0, first: int = 0) -> int:
    noise = np.random.default_rng(count).uniform(0, jitter, count)
    return sum(meter.block(start + (first + i) * 0.01 * (1 + ppm * 1e-6) + noise[i], 480) for i in range(count))


@pytest.mark.parametrize("lost_ms", [30, 100, 1_500])
def test_a_gap_in_the_cards_time_is_measured(lost_ms: int) -> None:
    meter = GapMeter(48_000)
    assert blocks(meter, 5.0, 321, jitter=0.008) == 0
    assert blocks(meter, 5.0 + lost_ms / 1000, 300, jitter=0.008, first=321) == pytest.approx(lost_ms * 48, abs=96)


def test_jitter_drift_and_absent_stamps_are_no_loss() -> None:
    assert blocks(GapMeter(48_000), 0.0, 3_000, jitter=0.05) == 0
    assert blocks(GapMeter(48_000), 0.0, 30_000, ppm=300) == 0
    meter = GapMeter(48_000)
    assert sum(meter.block(0.0, 480) for _ in range(1_000)) == 0


def test_a_card_that_is_late_for_a_while_lost_nothing() -> None:
    meter = GapMeter(48_000)
    late = [0.06 if 305 <= index < 403 else 0.0 for index in range(800)]
    assert sum(meter.block(index * 0.01 + delay, 480) for index, delay in enumerate(late)) == 0


def test_a_backlog_with_wild_stamps_at_the_start_is_no_loss() -> None:
    meter = GapMeter(48_000)
    assert sum(meter.block(index * 0.02, 480) for index in range(20)) == 0
    assert blocks(meter, 0.4, 500) == 0


# -- far end --------------------------------------------------------------------------------------------------------
def pull(line: PlayoutLine, frames: int) -> Pcm:
    out = bytearray(b"\x55" * (frames * 4))
    line.callback(out, frames, When(), STATUS)
    pair = np.frombuffer(out, np.int16).reshape(-1, 2)
    assert np.array_equal(pair[:, 0], pair[:, 1])
    return pair[:, 0]


@pytest.mark.parametrize("ppm", [-500, 0, 500])
@pytest.mark.parametrize("burst", [1, 2])
def test_far_audio_neither_runs_dry_nor_piles_up(ppm: int, burst: int) -> None:
    line = PlayoutLine(48_000, 2)
    step = 0.01 * burst * (1 + ppm * 1e-6)
    due = step
    delays = []
    for index in range(12_000):
        now = index * 0.01
        while due <= now:
            pull(line, 480 * burst)
            due += step
        line.write(TONE[index * FRAME % RATE :][:FRAME])
        delays.append(line.delay)
    assert line.dry == 0
    assert line.dropped == 0
    settled = np.array(delays[6_000:]) * 1000 / RATE
    assert 15 < settled.min() < settled.max() < 75


def test_what_piled_up_during_a_stall_goes_in_the_next_silence() -> None:
    line = PlayoutLine(48_000, 2)
    for index in range(30):
        line.write(TONE[index * FRAME :][:FRAME])
    piled = line.delay
    for _ in range(60):
        line.write(np.zeros(FRAME, np.int16))
        pull(line, 480)
    assert piled > RATE * 30 // 100
    assert line.delay < RATE * 80 // 1000


def test_speech_comes_out_whole_after_the_cushion() -> None:
    line = PlayoutLine(48_000, 2)
    heard = []
    for index in range(100):
        line.write(TONE[index * FRAME :][:FRAME])
        heard.append(pull(line, 480))
    out = np.concatenate(heard).astype(np.float64)
    start = int((np.abs(out) > 1_000).argmax())
    assert 0.02 < start / 48_000 < 0.04
    assert np.sqrt((out[start + 4_800 : -4_800] ** 2).mean()) == pytest.approx(8_000 / np.sqrt(2), rel=0.02)


def test_a_flush_is_silent_from_the_next_block_on_and_speech_returns_clean() -> None:
    line = PlayoutLine(48_000, 2)
    for index in range(10):
        line.write(TONE[index * FRAME :][:FRAME])
    assert pull(line, 2_400)[-480:].any()
    line.flush()
    assert not pull(line, 480).any()
    for _ in range(5):
        line.write(np.zeros(FRAME, np.int16))
        assert not pull(line, 480).any()
