"""Owns WAV files: any common PCM or float recording in, 16 kHz mono int16 out, and the way back.

A recording that was cut off is read as far as it goes once its header is whole and one sample is there: that is what a
crash or a full disk leaves behind. Cut off before the samples begin, it is `wav-truncated`.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soxr

from audio.frames import RATE, Pcm

WavCode = Literal["wav-missing", "wav-empty", "wav-truncated", "wav-format", "wav-unwritable"]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMAT_NAMES = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "ADPCM", 85: "MP3"}
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_MAX_CHANNELS = 64
_RATES = range(1_000, 768_001)


class WavError(Exception):
    """The file cannot be used as a recording; `code` is stable, the text is one line for people."""

    def __init__(self, code: WavCode, message: str) -> None:
        super().__init__(message)
        self.code: WavCode = code


@dataclass(frozen=True, slots=True)
class _Format:
    kind: int
    channels: int
    rate: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def read_wav(path: str | Path) -> Pcm:
    """The recording as 16 kHz mono int16; raises WavError and nothing else for any content."""
    raw = _read_bytes(Path(path))
    sound, data = _parse(raw, str(path))
    mono = _decode(sound, data).reshape(-1, sound.channels).mean(axis=1, dtype=np.float32)
    if sound.rate != RATE:
        mono = soxr.resample(mono, sound.rate, RATE)
    if not len(mono):
        raise WavError("wav-empty", f"{path}: the recording is shorter than one sample at {RATE} Hz")
    out: Pcm = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)
    return out


def write_wav(path: str | Path, pcm: Pcm, rate: int = RATE) -> None:
    """Write a mono recording; a reader sees the old file or the whole new one, never a part. Raises `WavError`."""
    target = Path(path)
    memory = io.BytesIO()
    with wave.open(memory, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.ascontiguousarray(pcm, "<i2").tobytes())
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(memory.getvalue())
        os.replace(draft, target)
    except OSError as error:
        raise WavError("wav-unwritable", f"{target} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):  # gone by now, if all went well
            draft.unlink()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise WavError("wav-missing", f"{path} is not a file")
        return path.read_bytes()
    except FileNotFoundError:
        raise WavError("wav-missing", f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise WavError("wav-missing", f"{path} cannot be read: {error}") from None


def _parse(raw: bytes, name: str) -> tuple[_Format, bytes]:
    """Walk the chunks up to the samples; chunks of no interest are skipped."""
    if not raw:
        raise WavError("wav-empty", f"{name} is empty")
    if not raw.startswith(b"RIFF"[: len(raw)]) or (len(raw) >= 12 and raw[8:12] != b"WAVE"):
        raise WavError("wav-format", f"{name} is not a WAV file{_guess(raw)}")
    sound: _Format | None = None
    at = 12
    while at + 8 <= len(raw):
        tag, size = struct.unpack_from("<4sI", raw, at)
        body = raw[at + 8 : at + 8 + size]
        if tag == b"fmt ":
            sound = _parse_format(body, size, name)
        elif tag == b"data":
            return _samples(sound, raw, at + 8, size, name)
        at += 8 + size + (size & 1)
    raise WavError("wav-truncated", f"{name} ends before its samples begin")


def _parse_format(body: bytes, size: int, name: str) -> _Format:
    if len(body) < min(size, 16):
        raise WavError("wav-truncated", f"{name} ends inside its header")
    if size < 16:
        raise WavError("wav-format", f"{name} has a damaged header")
    kind, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if kind == _EXTENSIBLE and len(body) >= 26:
        (kind,) = struct.unpack_from("<H", body, 24)
    if bits not in _BITS.get(kind, ()):
        label = _FORMAT_NAMES.get(kind, f"format {kind}")
        known = f"{bits}-bit {'float' if kind == _FLOAT else 'PCM'}" if kind in _BITS else label
        raise WavError("wav-format", f"{name} holds {known}; wanted is PCM of 8, 16, 24 or 32 bits, or float")
    sound = _Format(kind, channels, rate, bits)
    if not 1 <= channels <= _MAX_CHANNELS or rate not in _RATES or align != sound.frame_bytes:
        raise WavError("wav-format", f"{name} has a damaged header: {channels} channels, {rate} Hz")
    return sound


def _samples(sound: _Format | None, raw: bytes, start: int, size: int, name: str) -> tuple[_Format, bytes]:
    if sound is None:
        raise WavError("wav-format", f"{name} has samples before it says what they are")
    # A recorder that was killed never came back to fill in the sizes.
    open_ended = size == 0 and raw[4:8] == bytes(4)
    data = raw[start:] if open_ended else raw[start : start + size]
    data = data[: len(data) - len(data) % sound.frame_bytes]
    if not data:
        raise WavError("wav-empty", f"{name} holds no samples")
    return sound, data


def _decode(sound: _Format, data: bytes) -> npt.NDArray[np.float32]:
    """Samples of any width as float32 in -1..1, channels interleaved."""
    if sound.kind == _FLOAT:
        values = np.frombuffer(data, "<f4" if sound.bits == 32 else "<f8")
        # Clipped before narrowing: a double may not fit, and broken files hold NaN and infinities.
        narrowed: npt.NDArray[np.float32] = np.clip(np.nan_to_num(values), -1.0, 1.0).astype(np.float32)
        return narrowed
    if sound.bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / 128.0
    if sound.bits == 24:
        bytes3 = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(bytes3), 4), np.uint8)
        wide[:, 1:] = bytes3
        data = wide.tobytes()
    width = 16 if sound.bits == 16 else 32
    return np.frombuffer(data, f"<i{width // 8}").astype(np.float32) / np.float32(2 ** (width - 1))


def _guess(raw: bytes) -> str:
    if raw.startswith(b"ID3") or (raw[0] == 0xFF and len(raw) > 1 and raw[1] & 0xE0 == 0xE0):
        return " (it looks like MP3)"
    known = {b"OggS": "Ogg", b"fLaC": "FLAC", b"RIFX": "big-endian RIFF", b"RF64": "RF64"}
    label = known.get(raw[:4])
    return f" (it looks like {label})" if label else ""
