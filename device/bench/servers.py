"""The measured servers as processes of their own, on loopback, in a temporary folder: wakeline's web part, or bare."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from device.bench import load_functions
from device.bench.plan import DAYS_AHEAD, SLOTS_A_DAY

UP_S = 60.0
DOWN_S = 20.0
_LOOK_S = 0.02
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class ServerFailed(Exception):
    """A measured server did not come up, or has ended."""

    code = "bench-failed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a measured server lives; made once, used by one server after the other."""

    folder: Path
    port: int
    secret: str

    @property
    def database(self) -> Path:
        return self.folder / "state" / "wakeline.db"

    @property
    def witness(self) -> Path:
        return self.folder / "witness"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def environment(self) -> dict[str, str]:
        """Without the caller's own settings and secrets."""
        ours = ("WAKELINE_", "VAPI_", "TWILIO_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours) and k not in ("PORT", "BACKEND_URL")}
        return kept | {
            "VAPI_SERVER_SECRET": self.secret,
            "WAKELINE_CONFIG": str(self.folder / "wakeline.toml"),
            load_functions.WITNESS: str(self.witness),
        }


def make_place(folder: Path) -> Place:
    """A state folder, a configuration with a book that is always open, and the functions of the load."""
    functions = folder / "functions"
    functions.mkdir(parents=True)
    shutil.copy(str(load_functions.__file__), functions / "load.py")
    port = free_port()
    hours = "".join(f'{day} = "00:00-24:00"\n' for day in _WEEK)
    (folder / "wakeline.toml").write_text(
        f'timezone = "UTC"\n[paths]\nstate_dir = "{folder / "state"}"\nruntime_dir = "{folder / "run"}"\n'
        f'extensions = "{functions}"\n[web]\nport = {port}\nprivate_port = 0\n'
        f"[book]\nslot_minutes = {24 * 60 // SLOTS_A_DAY}\nmax_days_ahead = {DAYS_AHEAD}\n[book.hours]\n{hours}"
    )
    return Place(folder, port, secrets.token_hex(16))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(place: Place, module: str = "device.bench.serve", *, standby: bool = False) -> subprocess.Popen[bytes]:
    """One more server in this place; on standby it does nothing before it reads a line."""
    with place.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, "--port", str(place.port), *(["--standby"] if standby else [])],
            env=place.environment,
            cwd=place.folder,
            stdin=subprocess.PIPE if standby else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_until_up(place: Place, process: subprocess.Popen[bytes]) -> None:
    """Until its port answers."""
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"the server ended with {process.returncode}: {_last(place.log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", place.port), 1):
            return
        time.sleep(_LOOK_S)
    raise ServerFailed(f"the server does not answer after {UP_S:.0f} s: {_last(place.log)}")


@contextlib.contextmanager
def server(place: Place, module: str = "device.bench.serve") -> Iterator[subprocess.Popen[bytes]]:
    """Up, and ended in order afterwards."""
    process = start(place, module)
    try:
        wait_until_up(place, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DOWN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_slow_ones(place: Place, most_s: float = 20.0) -> None:
    """Until no function is recorded as running; what still is then, the comparison tells."""
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline:
        with contextlib.closing(sqlite3.connect(f"file:{place.database}?mode=ro", uri=True, timeout=5)) as database:
            if not database.execute("SELECT count(*) FROM function_calls WHERE state = 'running'").fetchone()[0]:
                return
        time.sleep(_LOOK_S)


def _last(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it has said nothing"


def run_sender(
    place: Place, ledger: Path, *options: str, progress: IO[str] | int | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The sender as a second process; its progress goes to `progress` (unset: our stderr)."""
    command = [sys.executable, "-m", "device.bench.sender", "--port", str(place.port), "--ledger", str(ledger)]
    return subprocess.run([*command, *options], env=place.environment, cwd=place.folder, stderr=progress, check=True)
