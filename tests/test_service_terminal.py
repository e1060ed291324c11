"""`wakeline run` in a real terminal: keys, Ctrl-C, and the terminal as it was before."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.live_rig import ROOT, WAKELINE
from tests.test_service_processes import no_card

pytestmark = pytest.mark.service


class Terminal:
    """The person's end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._shown = b""

    def wait_for(self, text: str, timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while text.encode() not in self._shown:
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self._fd], [], [], left)[0], f"no {text!r} in {self._shown[-2000:]!r}"
            self._shown += os.read(self._fd, 65536)
        self._shown = self._shown.partition(text.encode())[2]

    def hit(self, key: str) -> None:
        os.write(self._fd, key.encode())


def test_keys_and_ctrl_c(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environment = no_card(tmp_path) | {
        "TERM": "xterm",
        "PYTHONPATH": str(ROOT),
        "WAKELINE_PATHS__STATE_DIR": str(tmp_path / "state"),
        "WAKELINE_PATHS__RUNTIME_DIR": str(tmp_path / "run"),
        "WAKELINE_TTS__ENGINE": "hibari",
    }
    running = subprocess.Popen(
        # A session of its own whose terminal this is, as in a real one: Ctrl-C reaches the foreground group.
        ["setsid", "--ctty", "--wait", *WAKELINE, "run"],
        env=environment,
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    try:
        terminal = Terminal(ours)
        terminal.wait_for("ready: ")
        terminal.hit("m")
        terminal.wait_for("muted")
        terminal.hit("\x03")
        assert running.wait(10) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        if running.poll() is None:
            running.kill()
            running.wait(10)
        os.close(ours)
        os.close(theirs)
