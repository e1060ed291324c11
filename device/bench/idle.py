"""Owns the idle cost: the live pump over ten minutes of a room where nobody speaks to it, beside openWakeWord alone.

openWakeWord runs its features and one word, always on, over the same audio.

The pump is the real one with its workers; only its card is a recording that never waits. What the sound server and
PortAudio need is not in the figure, on neither side.
"""

from __future__ import annotations

import queue
import resource
import threading
import time
from dataclasses import dataclass

import numpy as np

from audio.assembly import build_conversation, build_jobs
from audio.events import Event, WakeHeard
from audio.frames import FRAME, RATE, Pcm, seconds, silence
from audio.portaudio import Device
from audio.pump import Pump
from audio.wire import EarsConfig, Message, Outbox, encode
from audio.workers import WorkerThread
from device.bench.noise import active_level, mixed
from device.bench.rooms import noise, talkers

_BELOW_DB = 20.0
"""Noise and babble lie so far below the speech."""
_MINUTE = 60 * RATE
_SHARES = (("speech", 1), ("quiet", 3), ("pink", 3), ("babble", 3))
_HISS = 4.0
"""RMS of a quiet room's."""


@dataclass(frozen=True, slots=True)
class Idle:
    """CPU seconds for `audio_s` of the room."""

    audio_s: float
    ours_s: float
    open_s: float
    wakes: int
    """False ones: their second opinion is in the cost."""

    def values(self) -> dict[str, float | int]:
        return {
            "idle_cpu_percent": round(100 * self.ours_s / self.audio_s, 3),
            "idle_cpu_ratio": round(self.ours_s / self.open_s, 3),
            "idle_reference_percent": round(100 * self.open_s / self.audio_s, 3),
            "idle_audio_s": round(self.audio_s),
            "idle_wakes": self.wakes,
        }


class _Card:
    """`audio.pump.Card`: plays a recording as fast as it is read and then asks for the end."""

    devices: tuple[Device | None, Device | None] = (None, None)
    echo_delay = 0

    def __init__(self, pcm: Pcm) -> None:
        self._frames = iter(pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME))
        self.pump: Pump | None = None

    def read(self, timeout: float) -> Pcm | None:
        frame = next(self._frames, None)
        if frame is None and self.pump is not None:
            self.pump.stop()
        return frame

    def open_input(self) -> None: ...
    def close_input(self) -> None: ...
    def write(self, frame: Pcm) -> None: ...
    def flush_output(self) -> None: ...
    def close(self) -> None: ...
    def lost(self) -> int:
        return 0


def room(minutes: float = 10.0) -> Pcm:
    """One part of speech that is not for us, three of quiet, three of pink noise, three of babble."""
    rng = np.random.default_rng(11)
    unit = round(minutes * _MINUTE / sum(parts for _, parts in _SHARES))
    sentences = [pcm for talker in talkers() for pcm in talker]
    order = rng.permutation(len(sentences))
    pieces = [piece for number in order for piece in (sentences[number], silence(RATE // 2))]
    speech = np.resize(np.concatenate(pieces), unit)
    level = active_level(speech)
    found = [speech]
    for kind, parts in _SHARES[1:]:
        quiet = silence(unit * parts)
        if kind != "quiet":
            quiet = mixed(quiet, np.resize(noise(kind), len(quiet)), level, _BELOW_DB)
        found.append(quiet)
    whole = np.concatenate(found).astype(np.float64)
    whole += rng.standard_normal(len(whole)) * _HISS
    return np.clip(np.rint(whole), -32768, 32767).astype(np.int16)


def measure(config: EarsConfig, minutes: float = 10.0) -> Idle:
    """Both over the same audio, one after the other."""
    pcm = room(minutes)
    ours, wakes = _pump(config, pcm)
    return Idle(seconds(len(pcm)), ours, _open(pcm), wakes)


def _pump(config: EarsConfig, pcm: Pcm) -> tuple[float, int]:
    posted: queue.SimpleQueue[Event] = queue.SimpleQueue()
    workers = {name: WorkerThread(job, posted.put) for name, job in build_jobs(config).items()}
    card = _Card(pcm)
    outbox = Outbox()
    heard: list[Message] = []
    pump = Pump(build_conversation(config, echo=True), lambda: card, workers, posted, outbox)
    sender = threading.Thread(target=_send, args=(outbox, heard))
    card.pump = pump
    for worker in workers.values():
        worker.start()
    sender.start()
    before = _cpu()
    pump.run()
    spent = _cpu() - before
    for worker in workers.values():
        worker.stop()
    outbox.close()
    sender.join()
    return spent, sum(isinstance(message, WakeHeard) for message in heard)


def _send(outbox: Outbox, heard: list[Message]) -> None:
    """Thread body: what the wire to the app costs, without the wire."""
    while (message := outbox.get()) is not None:
        encode(message)
        if isinstance(message, WakeHeard):
            heard.append(message)


def _open(pcm: Pcm) -> float:
    from models.wake_open import OpenWakeDetector

    detector = OpenWakeDetector()
    detector.load()
    before = time.process_time()
    for start in range(0, len(pcm) - FRAME + 1, FRAME):
        detector.process(pcm[start : start + FRAME])
    return time.process_time() - before


def _cpu() -> float:
    """Of this process, all threads; children that have ended too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
