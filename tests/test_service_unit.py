"""What the shipped unit starts, under the notify protocol against a real socket, as systemd would talk to it."""

from __future__ import annotations

import configparser
import contextlib
import os
import queue
import shlex
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from device.control import send
from tests.live_rig import appliance
from tests.test_service_processes import no_card
from tests.virtual_card import VirtualCard, missing, virtual_card

pytestmark = pytest.mark.service
UNIT = Path(__file__).parent.parent / "systemd" / "wakeline.service"


def unit() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


class Manager:
    """The end of the notify socket at which systemd sits."""

    def __init__(self, folder: Path) -> None:
        self.address = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.told: list[str] = []
        self.senders: set[int] = set()
        threading.Thread(target=self._read, daemon=True).start()  # the queue in the kernel is short

    def _read(self) -> None:
        while True:
            data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
            self.senders |= {int.from_bytes(content[:4], "little") for _, _, content in ancillary}
            for line in data.decode().splitlines():
                self._lines.put(line)

    def hear(self, line: str, timeout: float = 20) -> None:
        """Wait until that line has come (again)."""
        deadline = time.monotonic() + timeout
        came = ""
        while came != line:
            came = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            self.told.append(came)

    def environment(self, folder: Path, watchdog_s: float) -> dict[str, str]:
        """What systemd puts there for this unit, with its own folders and credentials of an empty directory."""
        for name in ("state", "run", "credentials"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        return {
            "NOTIFY_SOCKET": str(self.address),
            "WATCHDOG_USEC": str(round(watchdog_s * 1e6)),
            "STATE_DIRECTORY": str(folder / "state"),
            "RUNTIME_DIRECTORY": str(folder / "run"),
            "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
        }


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    return Manager(tmp_path)


def test_the_unit_starts_what_is_tested_here() -> None:
    program, *arguments = shlex.split(unit()["ExecStart"])
    assert Path(program).name == "wakeline"
    assert arguments == ["run"]
    assert unit()["Type"] == "notify"


def test_without_a_microphone_and_an_account_it_is_ready_and_stays(tmp_path: Path, manager: Manager) -> None:
    watchdog_s = 1.5
    folder = tmp_path / "a"
    environment = no_card(tmp_path) | manager.environment(folder, watchdog_s)
    with appliance(folder, environment) as running:
        manager.hear("READY=1")
        assert (folder / "state" / "wakeline.db").exists(), "ready means that the store is up"
        assert "ears" in send(folder / "run" / "control", {"do": "status"}), "... and the control socket"
        manager.hear("STATUS=no microphone")
        before = manager.told.count("WATCHDOG=1")
        for _ in range(6):  # three seconds: twice the watchdog's time
            manager.hear("WATCHDOG=1", timeout=watchdog_s)
        assert manager.told.count("WATCHDOG=1") >= before + 6
        assert running.process.poll() is None
        assert manager.senders == {running.process.pid}, "NotifyAccess=main"
        assert len(running.events("EarsStarted")) == 1
        assert running.end() == 0
        manager.hear("STOPPING=1", timeout=2)


@pytest.mark.sound
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_status_says_whether_it_hears(tmp_path: Path, manager: Manager) -> None:
    folder = tmp_path / "a"
    with virtual_card() as card:
        with appliance(folder, card.env | manager.environment(folder, 9)) as running:
            manager.hear("STATUS=listening")
            running.ask("mute")
            manager.hear("STATUS=muted")
            assert card.microphone_users() == 0
            still_muted_after_a_crash(card, running.ears, manager)
            assert running.end() == 0
        with appliance(folder, card.env | manager.environment(folder, 9)) as running:
            manager.hear("READY=1")
            manager.hear("STATUS=muted")
            assert card.microphone_users() == 0, "muted when it was ended, muted when it comes back"
            running.ask("unmute")
            manager.hear("STATUS=listening")
            card.kill()
            manager.hear("STATUS=no microphone")
            card.start()
            manager.hear("STATUS=listening")
            assert running.process.poll() is None


def still_muted_after_a_crash(card: VirtualCard, ears: int, manager: Manager) -> None:
    """New ears begin with a closed microphone: it is never open, not for a moment."""
    os.kill(ears, signal.SIGKILL)
    manager.hear("STATUS=the ears are being started again")
    listened = 0
    while manager.told[-1] != "STATUS=muted":
        listened += card.microphone_users()
        with contextlib.suppress(queue.Empty):
            manager.hear("STATUS=muted", timeout=0.05)
    assert not listened
