"""Owns the talk with systemd (sd_notify, a datagram each): readiness, status line, watchdog, stopping."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping

_log = logging.getLogger("wakeline.watchdog")
_SEND_TIMEOUT = 1.0  # seconds; a datagram to systemd waits only while its queue is full


class Notifier:
    """Tells the service manager how we are; does nothing where none is listening."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._socket: socket.socket | None = None
        self._address = ""
        self._last_status = ""
        self._failed_with = ""
        self.watchdog_s = watchdog_s if address else None
        """We are ended when we do not `feed` for so many seconds; None where nobody watches."""
        if address is None:
            return
        if address[:1] not in ("/", "@"):
            _log.warning("NOTIFY_SOCKET has an address of an unknown kind, systemd is not notified")
            self.watchdog_s = None
            return
        self._address = "\0" + address[1:] if address[0] == "@" else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_SEND_TIMEOUT)

    @classmethod
    def from_env(cls, environ: MutableMapping[str, str] | None = None) -> Notifier:
        """Take what systemd left in the environment, and remove it there: no child shall speak in our name."""
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", None) or None
        micros = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        ours = not pid or pid == str(os.getpid())
        watchdog_s = int(micros) / 1e6 if ours and micros.isdigit() and int(micros) > 0 else None
        return cls(address, watchdog_s)

    @property
    def active(self) -> bool:
        return self._socket is not None

    @property
    def feed_every_s(self) -> float | None:
        """How often to call `feed`: a third of the watchdog's time, so that one late round is forgiven."""
        return None if self.watchdog_s is None else self.watchdog_s / 3

    def ready(self, status: str = "") -> None:
        """Start-up is over; what is ordered after us may start."""
        self._send("READY=1", *self._status_lines(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`, sent when it changed. Never put a person's words in it."""
        self._send(*self._status_lines(text))

    def feed(self) -> None:
        """We are well; call it from the loop that has to stay alive, never from a thread of its own."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *self._status_lines(status))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _status_lines(self, text: str) -> tuple[str, ...]:
        line = " ".join(text.split())
        if not line or line == self._last_status:
            return ()
        self._last_status = line
        return (f"STATUS={line}",)

    def _send(self, *lines: str) -> None:
        if self._socket is None or not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            # nothing can be done about it here, and it must not end the appliance: say it once
            if self._failed_with != str(error):
                self._failed_with = str(error)
                _log.warning("systemd was not notified: %s", error)
        else:
            self._failed_with = ""
