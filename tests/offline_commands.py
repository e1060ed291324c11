"""Owns how the tests run `wakeline`: real processes with a home of their own, several at a time."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from device.cli import main

AT_ONCE = 4


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        return [line.removeprefix("said: ") for line in self.out.splitlines() if line.startswith("said: ")]

    def fault(self, code: str, *words: str, status: int = 2) -> None:
        """It ended with that status and one line on stderr: the code, and what a person needs to know."""
        assert self.status == status, self
        assert "Traceback" not in self.err
        (line,) = self.err.splitlines()
        assert line.startswith(f"wakeline: {code}: "), line
        for word in words:
            assert word in line, line


@dataclass(frozen=True)
class Home:
    """A folder with the state and the working directory of commands."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def database(self) -> Path:
        return self.state / "wakeline.db"

    def run(self, *arguments: str, powerless: bool = False, **environ: str) -> Done:
        """One command; `powerless` takes from root the right to write what is read-only."""
        before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if powerless and os.geteuid() == 0 else []
        command = [*before, sys.executable, "-m", "device.cli", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environ(environ),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run_all(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """Commands that do not know of each other, several at a time; their ends in the same order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda command: self.run(*command), commands))

    def here(self, *arguments: str) -> Done:
        """The same without a process of its own: for the many variants of what one real process has shown."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self._environ({}), clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                status = main(list(arguments))
            except SystemExit as end:
                status = int(end.code or 0)
        return Done(status, out.getvalue(), err.getvalue())

    def _environ(self, more: Mapping[str, str]) -> dict[str, str]:
        ours = ("WAKELINE_", "VAPI_", "TWILIO_")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "HOME": str(self.folder),
            "TZ": "Europe/Vienna",
            "PYTHONIOENCODING": "utf-8",
            "WAKELINE_PATHS__STATE_DIR": str(self.state),
            "WAKELINE_PATHS__RUNTIME_DIR": str(self.folder / "run"),
            **more,
        }
