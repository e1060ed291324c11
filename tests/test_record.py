"""The event record: what a line holds, what it never holds, how large it gets, what a broken disk does."""

from __future__ import annotations

import errno
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audio.commands import FeedRecognition, Synthesize
from audio.events import (
    CallDialling,
    ClauseSynthesized,
    EarsStarted,
    Event,
    FinalText,
    LevelMeasured,
    PartialText,
    ReplyCut,
    ReplyDecided,
    WakeHeard,
)
from audio.frames import Samples, TurnId
from device import record
from device.record import Record, read

NOON = datetime(2026, 11, 24, 12, 0, 0, 5000, tzinfo=UTC)
FINAL = FinalText(turn=TurnId(100001), text="book a table", confidence=0.9, at=Samples(16000))
WORDS: list[Event] = [
    FINAL,
    PartialText(turn=TurnId(1), text="secret one", stable="secret"),
    ReplyDecided(turn=TurnId(1), reply="r7", text="secret two", phrases=("secret yes", "secret no")),
    ReplyCut(turn=TurnId(1), reply="r7", by="wake", heard="secret three"),
    ClauseSynthesized(turn=TurnId(1), index=0, text="secret four", pcm=b"secretpcm"),
    CallDialling(call="c1", link="practice", destination="secret Mary"),
]


def lines(folder: Path) -> list[dict[str, object]]:
    return list(read(record.files(folder)))


def test_a_line_has_epoch_sample_and_wall_time(tmp_path: Path) -> None:
    with Record(tmp_path, record_text=True, now=lambda: NOON) as writer:
        writer.write(3, FINAL)
    assert lines(tmp_path) == [
        {
            "type": "FinalText",
            "epoch": 3,
            "at": 16000,
            "wall": "2026-11-24T12:00:00.005+00:00",
            "turn": 100001,
            "text": "book a table",
            "confidence": 0.9,
        }
    ]


def test_without_permission_only_lengths_are_kept(tmp_path: Path) -> None:
    with Record(tmp_path) as writer:
        for event in WORDS:
            writer.write(1, event)
    assert b"secret" not in (tmp_path / record.NAME).read_bytes()
    final, partial, decided, cut, clause, call = lines(tmp_path)
    assert final["text_length"] == len("book a table")
    assert partial["stable_length"] == 6
    assert (decided["reply"], decided["phrases_length"]) == ("r7", 2)
    assert (cut["by"], cut["heard_length"]) == ("wake", 12)
    assert clause["pcm_length"] == 9
    assert (call["link"], call["destination_length"]) == ("practice", 11)


def test_audio_and_meters_are_never_recorded(tmp_path: Path) -> None:
    with Record(tmp_path, record_text=True) as writer:
        writer.write(1, LevelMeasured(near_db=-30, far_db=-90, floor_db=-60))
        writer.write(1, FeedRecognition(turn=TurnId(1), pcm=b"\0\0"))
        writer.write(1, ClauseSynthesized(turn=TurnId(1), index=0, text="hello", pcm=b"abcdef"))
        writer.write(1, Synthesize(turn=TurnId(1), text="hello"))
    clause, wish = lines(tmp_path)
    assert "pcm" not in clause
    assert clause["text"] == "hello"
    assert "at" not in wish


def test_every_string_field_is_words_until_declared_otherwise() -> None:
    plain = {"word", "device", "code", "source", "reason", "by", "engine", "kind", "outcome", "reply"}
    assert plain | {"alert", "call", "link", "cause"} == record._PLAIN


@pytest.mark.parametrize("files", [1, 2, 4])
def test_the_record_stays_within_its_bound(tmp_path: Path, files: int) -> None:
    with Record(tmp_path, max_bytes=record.SMALLEST, files=files) as writer:
        for number in range(400):
            writer.write(1, EarsStarted(epoch=1, pid=number))
    kept = record.files(tmp_path)
    assert len(kept) == files
    assert sum(p.stat().st_size for p in kept) <= files * record.SMALLEST
    pids = [line["pid"] for line in lines(tmp_path)]
    assert pids == list(range(400 - len(pids), 400)), "oldest first, the newest kept, none missing between"


def test_it_goes_on_in_the_same_file_after_a_torn_line(tmp_path: Path) -> None:
    (tmp_path / record.NAME).write_bytes(b'{"type":"EarsReady"}\n{"type":"Fin')
    with Record(tmp_path) as writer:
        writer.write(1, FINAL)
    assert [line["type"] for line in lines(tmp_path)] == ["EarsReady", "FinalText"]


def test_a_full_disk_is_told_once_and_left_behind_when_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real_write = os.write
    writer = Record(tmp_path)
    writer.write(1, FINAL)

    def half(fd: int, data: bytes) -> int:
        return real_write(fd, data[: len(data) // 2])

    monkeypatch.setattr("device.record.os.write", half)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            writer.write(1, FINAL)
    assert writer.problem == os.strerror(errno.ENOSPC)
    assert writer.lost == 5
    assert len(caplog.records) == 1
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING):
        writer.write(1, FINAL)
    assert writer.problem is None
    assert "5 were lost" in caplog.text
    raw = (tmp_path / record.NAME).read_text().splitlines()
    assert [json.loads(line)["type"] for line in raw] == ["FinalText"] * 2, "no half line was left"


def test_a_folder_that_cannot_be_made_does_not_stop_the_caller(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    writer = Record(in_the_way / "record")
    writer.write(1, FINAL)
    assert writer.lost == 1
    in_the_way.unlink()
    writer.write(1, FINAL)
    assert writer.problem is None


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with Record(tmp_path / "r") as writer:
        writer.write(1, WakeHeard(word="hey_jarvis", score=0.9, word_end=Samples(5)))
    assert (tmp_path / "r" / record.NAME).stat().st_mode & 0o777 == 0o600


def test_a_size_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4096"):
        Record(tmp_path, max_bytes=10)
