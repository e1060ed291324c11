"""Recordings in every common shape, damaged ones, and the way back."""

from __future__ import annotations

import contextlib
import errno
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio.frames import RATE
from audio.wav import WavError, read_wav, write_wav

Floats = npt.NDArray[np.float64]


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> Floats:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def encode(values: Floats, kind: int, bits: int) -> bytes:
    if kind == 3:
        return values.astype("<f4" if bits == 32 else "<f8").tobytes()
    if bits == 8:
        return (np.rint(values * 127) + 128).astype(np.uint8).tobytes()
    whole = np.rint(values * (2 ** (bits - 1) - 1)).astype("<i4")
    if bits == 24:
        return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()


def riff(
    data: bytes,
    *,
    kind: int = 1,
    bits: int = 16,
    rate: int = RATE,
    channels: int = 1,
    extensible: bool = False,
    extra: bytes = b"",
    size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    align = channels * bits // 8
    tag = 0xFFFE if extensible else kind
    head = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    if extensible:
        head += struct.pack("<HHIH14s", 22, bits, 0, kind, b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    declared = len(data) if size is None else size
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(head)) + head + extra
    body += b"data" + struct.pack("<I", declared) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def level(pcm: npt.NDArray[np.int16]) -> float:
    middle = pcm[len(pcm) // 4 : -len(pcm) // 4].astype(np.float64)
    return float(np.sqrt((middle**2).mean()) / 32768)


@pytest.mark.parametrize(("kind", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("extensible", [False, True])
def test_common_recordings_become_16_khz_mono(
    tmp_path: Path, kind: int, bits: int, rate: int, channels: int, extensible: bool
) -> None:
    values = np.repeat(tone(rate), channels)
    path = tmp_path / "in.wav"
    path.write_bytes(
        riff(encode(values, kind, bits), kind=kind, bits=bits, rate=rate, channels=channels, extensible=extensible)
    )
    pcm = read_wav(path)
    assert pcm.dtype == np.int16
    assert abs(len(pcm) - RATE // 2) <= 2
    assert level(pcm) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_stereo_is_the_mean_of_its_sides(tmp_path: Path) -> None:
    pair = np.column_stack([tone(RATE), -tone(RATE)]).ravel()
    path = tmp_path / "in.wav"
    path.write_bytes(riff(encode(pair, 1, 16), channels=2))
    assert np.abs(read_wav(path)).max() <= 1


def test_other_chunks_are_skipped(tmp_path: Path) -> None:
    data = encode(tone(RATE), 1, 16)
    path = tmp_path / "in.wav"
    path.write_bytes(riff(data, extra=b"LIST" + struct.pack("<I", 5) + b"abcde\0"))
    assert read_wav(path).tobytes() == data


def test_broken_floats_are_silenced_or_clipped(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(riff(np.array([np.nan, np.inf, -np.inf, 1e300, 0.5], "<f8").tobytes(), kind=3, bits=64))
    assert read_wav(path).tolist() == [0, 32767, -32768, 32767, 16384]


DATA = encode(tone(RATE), 1, 16)


@pytest.mark.parametrize(
    ("raw", "samples"),
    [
        (riff(DATA)[:-1001], 7499),
        (riff(DATA, size=0xFFFFFFFF), 8000),
        (riff(DATA, size=0, riff_size=0), 8000),
        (riff(DATA, size=len(DATA) * 2), 8000),
    ],
    ids=["cut off", "streamed", "sizes never filled in", "says too much"],
)
def test_a_cut_recording_is_read_as_far_as_it_goes(tmp_path: Path, raw: bytes, samples: int) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(raw)
    assert len(read_wav(path)) == samples


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "wav-empty"),
        (riff(b""), "wav-empty"),
        (riff(b"\0"), "wav-empty"),
        (riff(b"\0\0", rate=768_000), "wav-empty"),
        (b"RI", "wav-truncated"),
        (riff(DATA)[:11], "wav-truncated"),
        (riff(DATA)[:30], "wav-truncated"),
        (riff(DATA)[:40], "wav-truncated"),
        (b"ID3\x04" + bytes(500), "wav-format"),
        (b"\xff\xfb\x90\x64" + bytes(500), "wav-format"),
        (b"OggS" + bytes(100), "wav-format"),
        (b"RIFF\x10\0\0\0AVI " + bytes(20), "wav-format"),
        (riff(DATA, kind=7, bits=8), "wav-format"),
        (riff(DATA, kind=85, bits=0), "wav-format"),
        (riff(DATA, bits=12), "wav-format"),
        (riff(DATA, rate=0), "wav-format"),
        (riff(DATA, channels=0), "wav-format"),
        (b"RIFF\x24\0\0\0WAVEdata\x04\0\0\0abcd", "wav-format"),
    ],
)
def test_what_is_no_recording_says_why_in_one_line(tmp_path: Path, raw: bytes, code: str) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(raw)
    with pytest.raises(WavError) as caught:
        read_wav(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path, tmp_path / "nul\0.wav"):
        with pytest.raises(WavError) as caught:
            read_wav(path)
        assert caught.value.code == "wav-missing"


HEADER = riff(DATA)[:44]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(
    raw=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda tail: HEADER + tail),
        st.tuples(st.integers(0, 43), st.binary(min_size=1, max_size=8)).map(
            lambda edit: HEADER[: edit[0]] + edit[1] + HEADER[edit[0] + len(edit[1]) :] + DATA[:200]
        ),
    )
)
def test_no_content_raises_anything_but_a_wav_error(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "any.wav"
    path.write_bytes(raw)
    with contextlib.suppress(WavError):
        pcm = read_wav(path)
        assert pcm.dtype == np.int16
        assert len(pcm)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    pcm = np.frombuffer(DATA, np.int16)
    write_wav(path, pcm)
    write_wav(path, pcm[::2], rate=8000)
    assert len(read_wav(path)) == len(pcm)
    write_wav(path, pcm)
    assert read_wav(path).tobytes() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.wav"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.wav"
    pcm = np.frombuffer(DATA, np.int16)
    write_wav(path, pcm)

    def refuse(source: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(WavError, match="disk full"):
        write_wav(path, pcm[:10])
    assert read_wav(path).tobytes() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.wav"]


@pytest.mark.parametrize("folder", ["nowhere", "file"])
def test_a_place_that_cannot_be_written_is_one_line_for_people(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WavError, match="cannot be written") as caught:
        write_wav(tmp_path / folder / "out.wav", np.zeros(160, np.int16))
    assert caught.value.code == "wav-unwritable"
