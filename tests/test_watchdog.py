"""The notify protocol against real datagram sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.watchdog import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """What systemd is to us: a datagram socket and its name."""
    address = f"@wakeline-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1))
        listener.settimeout(2)
        yield listener, address


def test_the_life_of_a_service(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "9000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    notifier = Notifier.from_env(environ)
    assert environ == {"HOME": "/"}, "no child shall speak in our name"
    assert (notifier.active, notifier.watchdog_s, notifier.feed_every_s) == (True, 9.0, 3.0)
    notifier.ready("listening")
    notifier.status("listening")  # unchanged: not sent
    notifier.status("no\nmicrophone")
    notifier.feed()
    notifier.stopping()
    notifier.close()
    notifier.feed()  # closed: nothing
    sent = [listener.recv(4096).decode() for _ in range(4)]
    assert sent == ["READY=1\nSTATUS=listening", "STATUS=no microphone", "WATCHDOG=1", "STOPPING=1"]


def test_nobody_listens() -> None:
    notifier = Notifier.from_env({})
    notifier.ready("listening")
    notifier.feed()
    assert (notifier.active, notifier.watchdog_s, notifier.feed_every_s) == (False, None, None)


@pytest.mark.parametrize(
    ("micros", "pid"), [("9000000", "1"), ("", ""), ("0", ""), ("-5", ""), ("soon", str(os.getpid()))]
)
def test_a_watchdog_that_is_not_for_us(tmp_path: Path, micros: str, pid: str) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": micros, "WATCHDOG_PID": pid}
    assert Notifier.from_env(environ).watchdog_s is None


def test_a_dead_manager_is_told_once_and_harmless(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(tmp_path / "gone"), 3.0)
    for _ in range(3):
        notifier.feed()
    assert len(caplog.records) == 1


def test_an_address_of_another_kind_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier("vsock:2:1234", 3.0)
    notifier.ready()
    assert not notifier.active
    assert "not notified" in caplog.text
