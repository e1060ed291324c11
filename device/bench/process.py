"""Owns what the appliance costs as processes: time from the start to listening, and memory of all its processes.

`wakeline run` is started with folders of its own and the defaults, whatever this machine's configuration says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from device.bench.options import ProcessFailed

_DEADLINE_S = 120.0
_LOOK_S = 0.01
_SETTLE_S = 2.0
_COMMAND = "from device.cli import main; raise SystemExit(main(['run']))"
_BARE = "import numpy, onnxruntime, sys; print(flush=True); sys.stdin.read()"
_FOREIGN = ("WAKELINE_", "VAPI_", "TWILIO_", "CREDENTIALS_", "NOTIFY_", "WATCHDOG_", "STATE_", "RUNTIME_")


@dataclass(frozen=True, slots=True)
class Process:
    """One start."""

    start_s: float
    pss_mb: float
    processes: int
    hearing: bool
    """With a microphone: without one the card's opening is not in the time."""
    bare_start_s: float
    """Python that imports numpy and onnxruntime and does nothing."""
    bare_pss_mb: float

    def values(self) -> dict[str, Any]:
        return {
            "start_s": round(self.start_s, 2),
            "pss_mb": round(self.pss_mb, 1),
            "processes": self.processes,
            "microphone": self.hearing,
            "start_reference_s": round(self.bare_start_s, 2),
            "pss_reference_mb": round(self.bare_pss_mb, 1),
        }


def measure(tts: str) -> Process:
    """Start it, wait until it listens, weigh it, end it."""
    bare_start, bare_pss = _bare()
    with TemporaryDirectory(prefix="wakeline-bench-") as name:
        folder = Path(name)
        record = folder / "state" / "record" / "events.jsonl"
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            env=_environment(folder, tts),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            hearing = _wait(process, record)
            took = time.monotonic() - began
            time.sleep(_SETTLE_S)
            tree = family(process.pid)
            pss = sum(map(pss_mb, tree))
        finally:
            _end(process)
    return Process(took, pss, len(tree), hearing, bare_start, bare_pss)


def _environment(folder: Path, tts: str) -> dict[str, str]:
    """Nothing of the user's: no account, no settings, no book."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    models = {name: value for name, value in os.environ.items() if name == "WAKELINE_MODELS"}
    (folder / "wakeline.toml").write_text("")
    root = str(Path(__file__).parent.parent.parent)
    return {
        **kept,
        **models,
        "WAKELINE_CONFIG": str(folder / "wakeline.toml"),
        "WAKELINE_PATHS__STATE_DIR": str(folder / "state"),
        "WAKELINE_PATHS__RUNTIME_DIR": str(folder / "run"),
        "WAKELINE_TTS__ENGINE": tts,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", "")))),
    }


def _wait(process: subprocess.Popen[bytes], record: Path) -> bool:
    """Until the ears are ready, and a microphone if there is one is open."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProcessFailed(f"wakeline run has ended with status {process.returncode}")
        lines = record.read_text().splitlines() if record.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("}")]
        for event in events:
            if event["type"] == "EarsReady":
                return any(one["type"] == "MicrophoneOpened" for one in events)
        time.sleep(_LOOK_S)
    raise ProcessFailed(f"wakeline run was not ready within {_DEADLINE_S:.0f} s")


def _bare() -> tuple[float, float]:
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took, weight = time.monotonic() - began, pss_mb(process.pid)
        process.communicate()
    return took, weight


def family(pid: int) -> list[int]:
    """The process and all below it."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(below for path in children for child in path.read_text().split() for below in family(int(child)))]


def pss_mb(pid: int) -> float:
    """Its share of memory: shared pages count by the number of their users."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
