"""Owns the event record: one JSON line an event, bounded in size, without speech, with text only if that is allowed.

A line is {"type", "epoch", "at", "wall", fields...}: `at` counts samples since the ears of that epoch started, `wall`
is UTC with milliseconds. Audio is never written. Where text is not allowed, a field that may hold words becomes
`<field>_length`: characters of a text, number of phrases in a list.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audio.commands import Command, FeedRecognition
from audio.events import Event, LevelMeasured

NAME = "events.jsonl"
SMALLEST = 4096
"""Bytes; a smaller file could not hold a line with a reply in it."""

_NOT_RECORDED = (LevelMeasured, FeedRecognition)  # ten to a hundred a second, and nothing to learn from them
# String fields that never hold what people said; a new field counts as words until it stands here.
_PLAIN = {"word", "device", "code", "source", "reason", "by", "engine", "kind", "outcome"}
_PLAIN |= {"reply", "alert", "call", "link", "cause"}

_log = logging.getLogger("wakeline.record")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Record:
    """Writes `events.jsonl` in `folder` and rotates it to `.1`, `.2`...; together at most `files` * `max_bytes` bytes.

    One owner (the app's loop). A write goes straight to the kernel and is not synced: after a crash of the app nothing
    is missing, after a power cut the last seconds are. That spares the card.
    """

    def __init__(
        self,
        folder: Path,
        *,
        record_text: bool = False,
        max_bytes: int = 2_000_000,
        files: int = 5,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        if max_bytes < SMALLEST or files < 1:
            raise ValueError(f"a record needs at least one file of {SMALLEST} bytes, got {files} of {max_bytes}")
        self.path = folder / NAME
        self.lost = 0
        """Events that could not be written, since the start."""
        self.problem: str | None = None
        """Why the last write failed; None while all is well."""
        self._record_text = record_text
        self._max_bytes = max_bytes
        self._files = files
        self._now = now
        self._fd: int | None = None
        self._size = 0

    def write(self, epoch: int, event: Event | Command) -> None:
        """Append one event. A failing disk never raises: it is logged once, and the next event tries again."""
        if isinstance(event, _NOT_RECORDED):
            return
        line = self._line(epoch, event)
        try:
            self._append(line)
        except OSError as error:
            self.lost += 1
            self._close_file()
            if self.problem is None:
                _log.error(
                    "events are not recorded in %s: %s; trying again with every event", self.path, error.strerror
                )
            self.problem = error.strerror or type(error).__name__
        else:
            if self.problem is not None:
                _log.warning("events are recorded again; %d were lost since the start", self.lost)
            self.problem = None

    def close(self) -> None:
        self._close_file()

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, epoch: int, event: Event | Command) -> bytes:
        wall = self._now().isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"type": type(event).__name__, "epoch": epoch, "at": None, "wall": wall}
        for name in event.__struct_fields__:
            line.update(self._field(name, getattr(event, name)))
        if line["at"] is None:  # a command has no time of its own
            del line["at"]
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"

    def _field(self, name: str, value: object) -> dict[str, Any]:
        if isinstance(value, bytes):
            return {f"{name}_length": len(value)}
        if isinstance(value, str | tuple) and name not in _PLAIN and not self._record_text:
            return {f"{name}_length": len(value)}
        return {name: value}

    def _append(self, line: bytes) -> None:
        if len(line) > self._max_bytes:
            raise OSError(errno.EFBIG, "an event is larger than a file of the record")
        if self._fd is None:
            self._open_file()
        if self._size + len(line) > self._max_bytes:
            self._rotate()
        assert self._fd is not None
        written = os.write(self._fd, line)
        if written < len(line):  # the disk is full: leave no half line behind
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _open_file(self) -> None:
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":  # torn by a power cut
            self._size += os.write(self._fd, b"\n")

    def _rotate(self) -> None:
        self._close_file()
        for number in range(self._files - 1, 0, -1):
            newer = _numbered(self.path, number - 1)
            if newer.exists():
                newer.replace(_numbered(self.path, number))
        if self._files == 1:
            self.path.unlink(missing_ok=True)
        self._open_file()

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _numbered(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def files(folder: Path) -> list[Path]:
    """The record's files in `folder`, oldest first, ready for `read`."""
    numbered = [p for p in folder.glob(f"{NAME}.*") if p.suffix[1:].isdigit()]
    numbered.sort(key=lambda p: -int(p.suffix[1:]))
    current = folder / NAME
    return [*numbered, current] if current.exists() else numbered


def read(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The lines of these files in order; a line torn by a crash is passed over."""
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    yield entry
