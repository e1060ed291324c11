"""The sound card without a card: finding devices, what callbacks do, drift, gaps, failures; streams are doubles."""

from __future__ import annotations

import sys
import tracemalloc
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from audio import portaudio
from audio.frames import FRAME, RATE, Pcm
from audio.lines import Bell, CaptureLine, GapMeter, PlayoutLine
from audio.portaudio import Device, SoundCard, SoundCardError, SoundCardLost, find_device, list_devices
from audio.resample import Resampler

TONE: Pcm = np.rint(8_000 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)).astype(np.int16)


class When:
    def __init__(self, seconds: float = 0.0) -> None:
        self.inputBufferAdcTime = self.outputBufferDacTime = self.currentTime = seconds


class Status:
    input_overflow = output_underflow = False


STATUS = Status()


# -- finding a device -----------------------------------------------------------------------------------------------
def device(index: int, name: str, inputs: int, outputs: int, default: bool = False) -> Device:
    return Device(index, name, inputs, outputs, 48_000, default and inputs > 0, default and outputs > 0)


DEVICES = [
    device(0, "USB Audio: Speaker", 0, 2),
    device(1, "ReSpeaker 4 Mic Array", 4, 0),
    device(2, "USB Audio: Microphone", 1, 0),
    device(3, "default", 2, 2, default=True),
    device(4, "USB Audio", 1, 2),
]


@pytest.mark.parametrize(
    ("wanted", "direction", "index"),
    [
        ("", "input", 3),
        ("", "output", 3),
        ("respeaker", "input", 1),
        ("usb audio: m", "input", 2),
        ("usb", "output", 0),
        ("USB Audio", "input", 4),
        ("usb audio", "output", 4),
        (2, "input", 2),
        ("2", "input", 2),
    ],
)
def test_a_device_is_found_by_name_part_index_or_default(wanted: str | int, direction: Any, index: int) -> None:
    assert find_device(DEVICES, wanted, direction).index == index


@pytest.mark.parametrize(
    ("wanted", "direction"), [("bluetooth", "input"), (0, "input"), (1, "output"), ("99", "output")]
)
def test_a_missing_device_names_what_there_is(wanted: str | int, direction: Any) -> None:
    with pytest.raises(SoundCardError, match="'USB Audio'") as caught:
        find_device(DEVICES, wanted, direction)
    assert caught.value.code == "device-missing"


def test_no_microphone_and_no_card_at_all() -> None:
    with pytest.raises(SoundCardError, match="0 'USB Audio: Speaker'") as caught:
        find_device(DEVICES[:1], "", "input")
    assert caught.value.code == "no-input"
    with pytest.raises(SoundCardError, match="no sound output was found") as caught:
        find_device([], "", "output")
    assert caught.value.code == "device-missing"


def test_without_a_default_the_first_usable_device_is_taken() -> None:
    assert find_device(DEVICES[:3], "", "input").index == 1


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


def test_a_backlog_with_wild_stamps_at_the_start_is_no_loss() -> None:
    meter = GapMeter(48_000)
    assert sum(meter.block(index * 0.02, 480) for index in range(20)) == 0
    assert blocks(meter, 0.4, 500) == 0


# -- far end --------------------------------------------------------------------------------------------------------
def pull(line: PlayoutLine, frames: int) -> Pcm:
    out = bytearray(frames * 4)
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


# -- the card over doubles of sounddevice's streams -----------------------------------------------------------------
class Stream:
    """A stream that refuses what it is told to refuse and calls back only when a test does."""

    opened: list[Stream]
    refuse_rates: set[int]
    refuse_blocks: bool

    def __init__(self, **options: Any) -> None:
        if options["samplerate"] in self.refuse_rates or (self.refuse_blocks and options["blocksize"]):
            raise PortAudioError("Invalid sample rate\n [PaErrorCode -9997]")
        self.options = options
        self.latency = options["latency"]
        self.active = False
        self.closed = False
        self.opened.append(self)

    def start(self) -> None:
        self.active = True

    def close(self, ignore_errors: bool = True) -> None:
        self.active, self.closed = False, True


class PortAudioError(Exception):
    pass


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> type[Stream]:
    kind = type("FakeStream", (Stream,), {"opened": [], "refuse_rates": set(), "refuse_blocks": False})
    fake = types.ModuleType("sounddevice")
    entry = {"index": 0, "name": "card", "max_input_channels": 1, "max_output_channels": 2}
    members = {
        "RawInputStream": kind,
        "RawOutputStream": kind,
        "PortAudioError": PortAudioError,
        "query_devices": lambda: [{**entry, "default_samplerate": 48_000.0}],
        "default": types.SimpleNamespace(device=(0, -1)),
    }
    for name, member in members.items():
        setattr(fake, name, member)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return kind


@pytest.fixture
def card(streams: type[Stream]) -> Iterator[SoundCard]:
    card = SoundCard()
    yield card
    card.close()
    assert all(stream.closed for stream in streams.opened)


def test_the_list_for_people(streams: type[Stream]) -> None:
    assert list_devices() == [Device(0, "card", 1, 2, 48_000, default_input=True, default_output=False)]


def test_native_rate_in_blocks_of_10_ms(card: SoundCard, streams: type[Stream]) -> None:
    card.open()
    output, microphone = (stream.options for stream in streams.opened)
    assert (output["samplerate"], output["blocksize"], output["channels"]) == (48_000, 480, 2)
    assert (microphone["samplerate"], microphone["blocksize"], microphone["channels"]) == (48_000, 480, 1)
    assert card.latency.input == card.latency.output == RATE * 40 // 1000
    assert card.echo_delay >= card.latency.input + card.latency.output


def test_other_rates_and_free_blocks_are_tried(card: SoundCard, streams: type[Stream]) -> None:
    streams.refuse_rates, streams.refuse_blocks = {48_000}, True
    card.open()
    assert {(s.options["samplerate"], s.options["blocksize"]) for s in streams.opened} == {(44_100, 0)}


def test_a_card_that_does_not_open_says_why_in_one_line(card: SoundCard, streams: type[Stream]) -> None:
    streams.refuse_rates = {16_000, 44_100, 48_000}
    with pytest.raises(
        SoundCardError, match=r"'card' does not open: Invalid sample rate \[PaErrorCode -9997\]"
    ) as caught:
        card.open()
    assert caught.value.code == "device-failed"
    assert not card.hearing


def test_mute_closes_the_microphone_alone(card: SoundCard, streams: type[Stream]) -> None:
    card.open()
    output, microphone = streams.opened
    card.close_input()
    assert (microphone.closed, output.closed, card.hearing) == (True, False, False)
    assert card.read(0.01) is None
    assert card.lost() == 0
    card.open_input()
    streams.opened[-1].options["callback"](TONE[:1920].tobytes(), 1920, When(), STATUS)
    frame = card.read(0.01)
    assert frame is not None
    assert len(frame) == FRAME


@pytest.mark.parametrize(("end", "code"), [(0, "device-failed"), (1, "device-failed")])
def test_a_stream_that_stopped_is_a_lost_card(card: SoundCard, streams: type[Stream], end: int, code: str) -> None:
    card.open()
    streams.opened[end].active = False
    with pytest.raises(SoundCardLost, match="has stopped") as caught:
        card.read(0.1)
    assert caught.value.code == code


def test_a_card_gone_quiet_is_lost(card: SoundCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "STALL_S", 0.2)
    monkeypatch.setattr(portaudio, "START_S", 0.2)
    card.open()
    with pytest.raises(SoundCardLost, match="has gone quiet") as caught:
        card.read(5)
    assert caught.value.code == "no-input"
    card.close_input()
    with pytest.raises(SoundCardLost, match="output") as caught:
        card.read(5)
    assert caught.value.code == "device-failed"
