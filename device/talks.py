"""Talks on disk: what lets `wakeline ask --session NAME` go on where another command stopped.

One small file a session in the state directory, for its owner alone. It is wiped when the talk has been silent for as
long as a talk at the device is remembered; whichever command comes next wipes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = "talks"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_LIMIT = 64 * 1024


class Talks:
    """The folder of talks. Use it inside `locked`: a turn of one command ends before another one reads the talk."""

    def __init__(self, folder: Path, kept_s: float) -> None:
        self._folder = folder
        self._kept_s = kept_s

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the talks; old ones are wiped."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._wipe_old()
            yield
        finally:
            os.close(lock)

    def load(self, name: str) -> bytes | None:
        """None when there is none, or no longer."""
        with contextlib.suppress(FileNotFoundError), self._path(name).open("rb") as file:
            return file.read(_LIMIT)
        return None

    def save(self, name: str, data: bytes) -> None:
        """In the place of the one before, whole or not at all."""
        path = self._path(name)
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        new.replace(path)

    def _wipe_old(self) -> None:
        now = time.time()
        for path in self._folder.iterdir():
            age = now - path.stat().st_mtime
            # From the future: the clock was set back, and nobody knows how old it is.
            if path.suffix in (".json", ".new") and not -self._kept_s <= age <= self._kept_s:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        assert NAME.fullmatch(name), "checked where it came in"
        return self._folder / f"{name}.json"
