"""Owns the virtual sound card: a PulseAudio of its own on a private socket, with a room to play into and a loudspeaker.

PortAudio reads the environment when it is loaded, so the code under test runs in a child process with `card.env`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from audio.frames import RATE, Pcm
from audio.wav import read_wav

PROGRAMS = ("pulseaudio", "pactl", "pacat", "parec")
START_S = 15.0
RAW = ("--raw", "--format=s16le", f"--rate={RATE}", "--channels=1")
QUADRO = "channels=4 channel_map=front-left,front-right,rear-left,rear-right"
PROMPT = "--latency-msec=20"
"""The daemon serves all clients as promptly as the most demanding one asks."""
UNHURRIED = "--latency-msec=300"
"""A talker whose player is late on a busy machine must not stutter."""


def missing() -> str | None:
    """Why there can be no virtual card here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (apt: pulseaudio pulseaudio-utils)" if absent else None


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll until `condition` holds; AssertionError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a killed test run leaves nothing behind


class Recording:
    """What the loudspeaker plays, from now on."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self._process = process
        self._path = path

    @property
    def samples(self) -> int:
        return self._path.stat().st_size // 2

    def so_far(self) -> Pcm:
        raw = self._path.read_bytes()
        return np.frombuffer(raw[: len(raw) // 2 * 2], np.int16)

    def stop(self) -> Pcm:
        self._process.terminate()
        self._process.wait(10)
        return self.so_far()


class VirtualCard:
    """One daemon; `env` is for child processes."""

    def __init__(self, folder: Path, loopback_ms: int | None) -> None:
        self.folder = folder
        self.socket = folder / "pulse.sock"
        self._loopback_ms = loopback_ms
        self._daemon: subprocess.Popen[bytes] | None = None
        self._children: list[subprocess.Popen[bytes]] = []
        self._count = 0
        self.env = {
            **os.environ,
            # A home of its own: two daemons at once must not meet over a pid file or a cookie.
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "run"),
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_SOURCE": "mic",
            "PULSE_SINK": "speaker",
        }

    def start(self) -> None:
        """Start the daemon, also again after `kill`, on the same socket."""
        self.socket.unlink(missing_ok=True)
        modules = [f"module-native-protocol-unix socket={self.socket} auth-anonymous=1", *self._sound()]
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
        for module in modules:
            options += ["-L", module]
        log = (self.folder / "daemon.log").open("ab")
        self._daemon = self._spawn(["pulseaudio", *options], stdout=log, stderr=log)
        wait_until(self._answers, START_S, f"PulseAudio up, see {self.folder}/daemon.log")
        self._keep_awake()

    def _sound(self) -> list[str]:
        """The modules that are the card."""
        modules = ["module-null-sink sink_name=speaker rate=48000", "module-null-sink sink_name=room rate=48000"]
        modules.append("module-remap-source source_name=mic master=room.monitor")
        if self._loopback_ms is not None:
            modules.append(f"module-loopback source=speaker.monitor sink=room latency_msec={self._loopback_ms}")
        return modules

    def _keep_awake(self) -> None:
        # An idle null sink sleeps up to 2 s before it serves a new client: real cards do not, so keep these awake.
        for sink in ("speaker", "room"):
            with open("/dev/zero", "rb") as silence:
                self._spawn(["pacat", "--playback", f"--device={sink}", *RAW, PROMPT], stdin=silence)
        wait_until(lambda: self.pactl("list", "short", "sink-inputs").count("\n") >= 2, START_S, "sinks awake")
        for source in ("speaker.monitor", "mic"):
            self.record_from(source, at_least=RATE // 10).stop()

    def _answers(self) -> bool:
        assert self._daemon is not None
        if self._daemon.poll() is not None:
            raise AssertionError(f"PulseAudio ended: {(self.folder / 'daemon.log').read_text()[-2000:]}")
        return self.socket.exists() and "speaker" in self.pactl("list", "short", "sinks")

    def pactl(self, *arguments: str) -> str:
        done = subprocess.run(["pactl", *arguments], env=self.env, capture_output=True, text=True, timeout=10)
        return done.stdout

    def microphone_users(self) -> int:
        """Streams that listen to the microphone at this moment."""
        sources = {
            line.split("\t")[0] for line in self.pactl("list", "short", "sources").splitlines() if "\tmic\t" in line
        }
        outputs = [line.split("\t") for line in self.pactl("list", "short", "source-outputs").splitlines()]
        return sum(fields[1] in sources for fields in outputs)

    def play(self, sound: Pcm | str | Path, *, wait: bool = True) -> subprocess.Popen[bytes]:
        """Play into the room, as somebody speaking would."""
        pcm = sound if isinstance(sound, np.ndarray) else read_wav(sound)
        self._count += 1
        path = self.folder / f"play-{self._count}.raw"
        path.write_bytes(pcm.tobytes())
        with path.open("rb") as file:
            process = self._spawn(["pacat", "--playback", "--device=room", *RAW, UNHURRIED], stdin=file)
        if wait:
            process.wait(len(pcm) / RATE + 15)
        return process

    def recording(self) -> Recording:
        """Start recording the loudspeaker; returns once it runs."""
        return self.record_from("speaker.monitor")

    def record_from(self, source: str, *, at_least: int = 1) -> Recording:
        self._count += 1
        path = self.folder / f"record-{self._count}.raw"
        with path.open("wb") as file:
            process = self._spawn(["parec", f"--device={source}", *RAW, PROMPT], stdout=file)
        recording = Recording(process, path)
        wait_until(lambda: recording.samples >= at_least, START_S, f"{source} is recorded")
        return recording

    def record(self, seconds: float) -> Pcm:
        """So many seconds of the loudspeaker."""
        recording = self.recording()
        wanted = round(seconds * RATE)
        wait_until(lambda: recording.samples >= wanted, seconds + 15, f"{seconds} s recorded")
        return recording.stop()[:wanted]

    def unplug(self) -> None:
        """The card is gone, the sound server stays. Without a sound of its own it has nothing to move a stream to."""
        for line in reversed(self.pactl("list", "short", "modules").splitlines()):
            number, name, *_ = line.split("\t")
            if name != "module-native-protocol-unix":
                self.pactl("unload-module", number)

    def plug(self) -> None:
        """It is back."""
        for module in self._sound():
            self.pactl("load-module", *module.split())
        self._keep_awake()

    def array(self) -> str:
        """A microphone of four channels beside the other one; returns the name of its source. It hears `play_array`."""
        self.pactl("load-module", "module-null-sink", "sink_name=around", "rate=48000", *QUADRO.split())
        remap = ("module-remap-source", "source_name=array", "master=around.monitor", "remix=no")
        self.pactl("load-module", *remap, *QUADRO.split())
        return "array"

    def play_array(self, channels: Sequence[Pcm]) -> subprocess.Popen[bytes]:
        """A sound of its own into each channel of the array."""
        path = self.folder / "array.raw"
        path.write_bytes(np.stack(channels, axis=1).tobytes())
        quadro = ("--channels=4", "--channel-map=front-left,front-right,rear-left,rear-right")
        with path.open("rb") as file:
            return self._spawn(["pacat", "--playback", "--device=around", *RAW[:3], *quadro, UNHURRIED], stdin=file)

    def freeze(self) -> None:
        """The sound server answers nobody any more, and holds up whoever asks it."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """The card is unplugged: the daemon dies without a word."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait(10)
            self._daemon = None

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.terminate()
        for child in self._children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)
        self._children.clear()

    def _spawn(
        self,
        command: list[str],
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
        stderr: IO[bytes] | int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, env=self.env, stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=_die_with_parent
        )
        self._children.append(process)
        return process


@contextlib.contextmanager
def virtual_card(loopback_ms: int | None = None) -> Iterator[VirtualCard]:
    """A running card; with `loopback_ms` the microphone hears the loudspeaker that much later."""
    # A short path: a socket's name may have 107 characters only.
    with tempfile.TemporaryDirectory(prefix="card-", ignore_cleanup_errors=True) as folder:
        card = VirtualCard(Path(folder), loopback_ms)
        try:
            card.start()
            yield card
        finally:
            card.close()
