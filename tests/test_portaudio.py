"""The sound card without a card: finding devices, opening, muting, failures; streams are doubles."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from audio import portaudio
from audio.devices import capture_channels
from audio.frames import FRAME, RATE
from audio.portaudio import Device, SoundCard, SoundCardError, SoundCardLost, find_device, list_devices, rescan
from tests.test_portaudio_lines import STATUS, TONE, When


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


@pytest.mark.parametrize(
    ("inputs", "channel", "channels", "opened"),
    [
        (1, 0, 0, 1),
        (2, 0, 0, 1),
        (2, 1, 0, 2),
        (6, 0, 0, 6),
        (6, 5, 0, 6),
        (6, -1, 0, 6),
        (1, -1, 0, 1),
        (32, 0, 0, 1),
        (32, -1, 0, 1),
        (32, 2, 4, 4),
        (32, -1, 4, 4),
    ],
)
def test_as_many_channels_are_opened_as_the_wanted_one_needs(
    inputs: int, channel: int, channels: int, opened: int
) -> None:
    assert capture_channels(device(0, "card", inputs, 0), channel, channels) == opened


@pytest.mark.parametrize(
    ("inputs", "channel", "channels", "words"),
    [
        (1, 1, 0, "has 1, counted from 0"),
        (6, 6, 0, "has 6"),
        (32, 1, 0, "set audio.channels"),
        (32, 4, 4, "has 4"),
        (2, 0, 4, "'card' has 2"),
    ],
)
def test_a_channel_that_is_not_there_is_refused(inputs: int, channel: int, channels: int, words: str) -> None:
    with pytest.raises(SoundCardError, match=words) as caught:
        capture_channels(device(0, "card", inputs, 0), channel, channels)
    assert caught.value.code == "no-channel"


# -- the card over doubles of sounddevice's streams -----------------------------------------------------------------
class Stream:
    """A stream that refuses what it is told to refuse and calls back only when a test does."""

    opened: list[Stream]
    refuse_rates: set[int]
    refuse_blocks: bool
    refuse_start: int

    def __init__(self, **options: Any) -> None:
        if options["samplerate"] in self.refuse_rates or (self.refuse_blocks and options["blocksize"]):
            raise PortAudioError("Invalid sample rate\n [PaErrorCode -9997]")
        self.options = options
        self.latency = options["latency"]
        self.active = False
        self.closed = False
        self.opened.append(self)

    def start(self) -> None:
        if self.options["channels"] == self.refuse_start:
            raise PortAudioError("Device busy")
        self.active = True

    def close(self, ignore_errors: bool = True) -> None:
        self.active, self.closed = False, True


class PortAudioError(Exception):
    pass


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> type[Stream]:
    kind = type(
        "FakeStream", (Stream,), {"opened": [], "refuse_rates": set(), "refuse_blocks": False, "refuse_start": 0}
    )
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


def test_without_the_library_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(SoundCardError, match="libportaudio2") as caught:
        list_devices()
    assert caught.value.code == "device-missing"


def test_looking_again_fails_readably_and_only_then(streams: type[Stream], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = sys.modules["sounddevice"]
    done: list[str] = []
    monkeypatch.setattr(fake, "_terminate", lambda: done.append("terminate"), raising=False)
    monkeypatch.setattr(fake, "_initialize", lambda: done.append("initialize"), raising=False)
    rescan()
    assert done == ["terminate", "initialize"]

    def refuse() -> None:
        raise PortAudioError("no\nhost")

    monkeypatch.setattr(fake, "_initialize", refuse)
    with pytest.raises(SoundCardError, match="does not start: no host"):
        rescan()


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


def test_a_microphone_that_does_not_start_leaves_nothing_open(card: SoundCard, streams: type[Stream]) -> None:
    streams.refuse_start = 1
    with pytest.raises(SoundCardError, match="sound input 'card' does not open: Device busy"):
        card.open()
    assert len(streams.opened) > 1
    assert all(stream.closed for stream in streams.opened)
    assert card.devices == (None, None)


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
