"""The demo: a scripted visit by two synthetic voices, heard, understood, done and answered by the real engines."""

from __future__ import annotations

import statistics
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from audio.assembly import build_jobs
from audio.frames import RATE, Pcm, Samples, ms, silence
from audio.replay import Step, Visit
from audio.resample import resample
from audio.turn import Turn
from audio.wav import write_wav
from device.app import ears_config
from device.config import Config
from device.functions.sqlite_store import SqliteStore
from device.session import Played, draw_timeline, play
from device.timeline import turns_of
from device.view import View, view_for
from models.engines import Synthesizer
from models.tts_hibari import HibariSynthesizer

_WHEN = {
    "idle": frozenset({Turn.IDLE}),
    "asked": frozenset({Turn.FOLLOW_UP}),
    "ringing": frozenset({Turn.ALERTING}),
}
_FLOOR_DB = -65.0
"""Of a quiet room: no microphone hears digital silence."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something a visitor says: texts, and pauses in ms between them."""

    id: str
    voice: str
    when: str
    pause_ms: int
    say: tuple[str | int, ...]


def script(name: str) -> list[Line]:
    """A visit of the package's visits.toml, in order."""
    table = tomllib.loads(resources.files("device").joinpath("visits.toml").read_text())
    return [Line(**{**entry, "say": tuple(entry["say"])}) for entry in table[name]]


def steps(lines: Sequence[Line], voices: dict[str, Synthesizer]) -> list[Step]:
    """The lines as sound; `voices` are loaded."""
    return [Step(_spoken(line, voices[line.voice]), _WHEN[line.when], line.pause_ms) for line in lines]


def _spoken(line: Line, voice: Synthesizer) -> Pcm:
    parts = []
    for part in line.say:
        if isinstance(part, int):
            parts.append(silence(ms(part)))
        else:
            parts += [resample(clause.pcm, voice.rate, RATE) for clause in voice.synthesize(part)]
    return np.concatenate(parts)


class Room(Visit):
    """A visit in a room with a faint noise floor, always the same."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__(steps)
        self._noise = np.random.default_rng(20)

    def frame(self, now: Samples, state: Turn) -> Pcm | None:
        frame = super().frame(now, state)
        if frame is None:
            return None
        noise = self._noise.standard_normal(len(frame)) * 32768 * 10 ** (_FLOOR_DB / 20)
        mixed: Pcm = np.clip(frame + noise, -32768, 32767).astype(np.int16)
        return mixed


async def run_demo(config: Config, out: Path, *, call: bool) -> int:
    """Play it and print it; leaves visit.wav, reply.wav and timeline.svg in `out`."""
    with view_for(sys.stdout) as view, TemporaryDirectory() as folder:
        view.note("loading the engines")
        jobs = build_jobs(ears_config(config))
        hibari = HibariSynthesizer(speed=config.tts.speed)
        hibari.load()
        voices: dict[str, Synthesizer] = {"joe": _joe(), "hibari": hibari}
        visitors = steps(script("call" if call else "visit"), voices)
        database = Path(folder) / "demo.db"
        start = datetime.now(config.zone)
        played = await play(config, Room(visitors), database=database, start=start, view=view, jobs=jobs)
        _book(view, database, config.zone)
    _leave(view, played, out)
    return 0


def _joe() -> Synthesizer:
    from models.host import HostedSynthesizer

    voice = HostedSynthesizer("models.tts_piper:PiperSynthesizer")
    voice.load()
    return voice


def _book(view: View, database: Path, zone: tzinfo) -> None:
    store = SqliteStore(database)
    with store.reading() as reading:
        for entry in reading.appointments():
            view.note(f"in the book: {entry.starts.astimezone(zone):%A %d %B %H:%M}, {entry.minutes} minutes")
    store.close()


def _leave(view: View, played: Played, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_wav(out / "visit.wav", played.trace.near)
    write_wav(out / "reply.wav", played.trace.far)
    draw_timeline(played, out / "timeline.svg", "wakeline demo")
    gaps = [turn.gap_ms for turn in turns_of(played.trace.events) if turn.gap_ms is not None]
    if gaps:
        view.note(f"response gap: median {statistics.median(gaps):.0f} ms, longest {max(gaps)} ms, of {len(gaps)}")
    length = len(played.trace.near) / RATE
    view.note(f"{length:.0f} s of visit in {played.took_s:.1f} s ({length / played.took_s:.0f} x real time)")
    view.note(
        f"wrote {out}/visit.wav (the visitors), {out}/reply.wav (the answers), {out}/timeline.svg (both, in time)"
    )
