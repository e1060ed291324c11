"""Owns which of the sound devices is meant, which of its channels, and the errors of a card; knows no library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audio.lines import MEAN

CardCode = Literal["device-missing", "device-failed", "no-input", "no-channel"]
Direction = Literal["input", "output"]

MOST_REAL = 16
"""A device with more channels than this is a sound server, which says what it could convert to, not what there is."""


class SoundCardError(Exception):
    """The card cannot be used; `code` is stable, the text says what there is instead."""

    def __init__(self, code: CardCode, message: str) -> None:
        super().__init__(message)
        self.code: CardCode = code


class SoundCardLost(SoundCardError):
    """The card worked and does no more: unplugged, or its server ended. Close, `rescan`, open again."""


@dataclass(frozen=True, slots=True)
class Device:
    index: int
    name: str
    inputs: int
    outputs: int
    rate: int
    """What the hardware runs at; everything else is converted here."""
    default_input: bool
    default_output: bool


def find_device(devices: list[Device], wanted: str | int, direction: Direction) -> Device:
    """By index, by a part of the name, or the default for ""; the exact name wins over a part."""
    usable = [device for device in devices if (device.inputs if direction == "input" else device.outputs)]
    if not usable:
        code: CardCode = "no-input" if direction == "input" else "device-missing"
        raise SoundCardError(code, f"no sound {direction} was found{_inventory(devices)}")
    text = str(wanted).strip().lower()
    if not text:
        return next((d for d in usable if (d.default_input if direction == "input" else d.default_output)), usable[0])
    if text.isdigit():
        found = [device for device in usable if device.index == int(text)]
    else:
        found = [device for device in usable if device.name.lower() == text]
        found = found or [device for device in usable if text in device.name.lower()]
    if not found:
        raise SoundCardError("device-missing", f"no sound {direction} matches {wanted!r}{_inventory(usable)}")
    return found[0]


def capture_channels(device: Device, channel: int, channels: int) -> int:
    """With how many channels to open the microphone so that `channel` (`MEAN`: all of them) is the one meant.

    A plain microphone is opened with one, whatever the card has: the card or the server makes one of it. A sound server
    does not say how many there are, and asked for fewer it mixes them: then `channels` must be given.
    """
    if channels > device.inputs:
        raise SoundCardError(
            "no-channel", f"audio.channels is {channels}: {device.name!r} has {device.inputs} channels"
        )
    server = device.inputs > MOST_REAL
    there = channels or (1 if server else device.inputs)
    if channel >= there:
        why = (
            "does not say how many it has: set audio.channels to those of the microphone"
            if server and not channels
            else f"has {there}, counted from 0"
        )
        raise SoundCardError("no-channel", f"there is no channel {channel} (audio.channel): {device.name!r} {why}")
    if channels or channel > 0 or channel == MEAN:
        return there
    return 1 if there <= 2 else there


def _inventory(devices: list[Device]) -> str:
    return "; there is " + ", ".join(f"{d.index} {d.name!r}" for d in devices) if devices else ""
