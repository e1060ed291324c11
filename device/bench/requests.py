"""Owns a request through the whole appliance offline: what is played, what came of it, whether it was right, how long
it took.

One is right only if the action it asks for is the one that was done: the function ran once with these arguments, the
book has that appointment, the timer is gone. The gap is counted from the last sound of the recording, which the bench
knows because it made it, not from where the loop believes that the voice ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from audio.assembly import build_jobs
from audio.events import LevelMeasured, ReplyDecided, UtteranceEnded
from audio.frames import RATE, Pcm, Samples, ms, seconds
from audio.wav import write_wav
from audio.workers import Job
from device.app import ears_config
from device.bench.compare import percentile
from device.bench.speech import Request, assemble, edges, one_breath, with_pause
from device.config import Config
from device.functions.sqlite_store import SqliteStore
from device.functions.store import Reading
from device.session import Played, play, pushed, recorded
from device.timeline import turns_of
from models.stt_moonshine import plain

ZONE = "Europe/Vienna"
START = datetime(2026, 3, 10, 10)
"""As requests.toml has it; local time."""
_LEAD_MS = 500
_MOST_CALLS = 4


@dataclass(frozen=True, slots=True)
class Spoken:
    """A request as a recording."""

    request: Request
    way: str
    """How it is said, for the record."""
    pcm: Pcm
    end: Samples | None
    """Where its last sound ends; None where nobody knows (a foreign recording)."""
    pressed: bool = False
    """The button is held: there is no wake word."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one request."""

    id: str
    voice: str
    way: str
    text: str
    heard: str
    said: str
    gap_ms: int | None
    """From the recording's last sound to the reply's first sample."""
    latencies: Mapping[str, int]
    """Where it went, as the loop saw it."""
    right: bool
    remnant: bool
    """Words of nobody's stand before the request."""
    reason: str = ""
    """Why the utterance ended."""
    cut: bool = False
    """It was taken for finished before its last sound."""
    late_ms: int | None = None
    """From the last sound to the end of the utterance."""
    audio_s: float = 0.0
    took_s: float = 0.0


def said(request: Request, way: str = "pause", speed: float = 1.0) -> Spoken:
    """In a quiet room: the wake word, then (`pause`) or in one `breath` with it the request."""
    made = one_breath if way == "breath" else with_pause
    speech = made(request.voice, request.text, speed)
    return Spoken(request, way, assemble([speech], lead_ms=_LEAD_MS), Samples(ms(_LEAD_MS) + edges(speech)[1]))


@dataclass(frozen=True, slots=True)
class Bench:
    """Loaded engines and the configuration they are run with."""

    config: Config
    jobs: Mapping[str, Job]
    slowdown: float = 1.0
    speed: float = 1.0
    """Of the speaker."""
    record: Path | None = None
    """Folder for recordings, answers and traces."""

    async def measure(self, request: Request, way: str = "pause") -> Result:
        return await self.play(said(request, way, self.speed))

    async def play(self, spoken: Spoken) -> Result:
        request = spoken.request
        start = START.replace(tzinfo=self.config.zone)
        source = pushed(spoken.pcm) if spoken.pressed else recorded(spoken.pcm)
        with TemporaryDirectory() as folder:
            database = Path(folder) / "bench.db"
            if request.expected == "cancelTimer":
                _set_timer(database, start)
            played = await play(
                self.config, source, database=database, start=start, jobs=self.jobs, slowdown=self.slowdown
            )
            right = bool(request.expected) and done(request, played, database)
        result = _result(spoken, played, right)
        if self.record is not None:
            _leave(self.record, spoken, played, result)
        return result


def bench(tts: str = "piper", slowdown: float = 1.0, speed: float = 1.0, record: Path | None = None) -> Bench:
    """The defaults of the appliance, whatever this machine's configuration says."""
    config = Config.model_validate({"timezone": ZONE, "tts": {"engine": tts}})
    return Bench(config, build_jobs(ears_config(config)), slowdown, speed, record)


def _result(spoken: Spoken, played: Played, right: bool) -> Result:
    turns = turns_of(played.trace.events)
    turn = next((turn for turn in turns if turn.by in ("wake", "press")), None)
    ended = next(
        (e for e in played.trace.events if isinstance(e, UtteranceEnded) and turn and e.turn == turn.turn), None
    )
    gap, late = (turn.gap_ms if turn else None), None
    if spoken.end is not None and ended is not None:
        late = round((ended.at - spoken.end) * 1000 / RATE)
        gap = round((turn.reply_start - spoken.end) * 1000 / RATE) if turn and turn.reply_start is not None else None
    request = spoken.request
    return Result(
        id=request.id,
        voice=request.voice,
        way=spoken.way,
        text=request.text,
        heard=" | ".join(turn.heard for turn in turns if turn.heard),
        said=" | ".join(turn.said for turn in turns if turn.said),
        gap_ms=gap,
        latencies=turn.latencies() if turn else {},
        right=right and turn is not None,
        remnant=turn is not None and has_remnant(turn.heard, request.text),
        reason=ended.reason if ended else "",
        cut=late is not None and late < 0,
        late_ms=late,
        audio_s=seconds(len(played.trace.near)),
        took_s=played.took_s,
    )


def _leave(folder: Path, spoken: Spoken, played: Played, result: Result) -> None:
    """What was heard, what was answered, every event, and what was made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{spoken.way}-{spoken.request.id}".replace("/", "-").replace(" ", "-")
    write_wav(folder / f"{name}.wav", played.trace.near)
    write_wav(folder / f"{name}.answer.wav", played.trace.far)
    events = [event for event in played.trace.events if not isinstance(event, LevelMeasured)]
    (folder / f"{name}.events.jsonl").write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    whole = {**asdict(result), "end_sample": spoken.end, "request": spoken.request._asdict()}
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(whole) + b"\n")


# -- right or wrong ---------------------------------------------------------------------------------------------------
def done(request: Request, played: Played, database: Path) -> bool:
    """Whether the request's action was done, and nothing else."""
    answers = [event for event in played.trace.events if isinstance(event, ReplyDecided)]
    calls = {f"turn-{answer.turn}:{number}" for answer in answers for number in range(_MOST_CALLS)}
    store = SqliteStore(database)
    try:
        with store.reading() as reading:
            ran = [call for call in map(reading.function_call, calls) if call is not None]
            if request.reply:
                return not ran and len(answers) == 1 and answers[0].text.startswith(request.reply)
            if len(ran) != 1 or (ran[0].name, ran[0].state) != (request.expected, "done"):
                return False
            return dict(ran[0].arguments) == dict(request.arguments) and _stored(request, reading, played.started)
    finally:
        store.close()


def _stored(request: Request, reading: Reading, start: datetime) -> bool:
    """Whether book and timers are as they must be now."""
    booked = [
        (entry.starts.astimezone(start.tzinfo).replace(tzinfo=None), entry.people) for entry in reading.appointments()
    ]
    timers = [timer.seconds for timer in reading.timers()]
    wanted = request.arguments
    if request.expected == "bookAppointment":
        when = datetime.fromisoformat(f"{wanted['date']}T{wanted['time']}")
        return booked == [(when, wanted.get("people", 1))] and not timers
    return not booked and timers == ([wanted["duration"]] if request.expected == "setTimer" else [])


def _set_timer(database: Path, start: datetime) -> None:
    store = SqliteStore(database)
    with store.transaction() as writing:
        writing.add_timer("", 3600, start + timedelta(hours=1), start)
    store.close()


def has_remnant(heard: str, text: str) -> bool:
    """Whether the wake word or a piece of it was taken for the request's beginning."""
    words, wanted = plain(heard).split(), plain(text).split()
    if any("jarvis" in word for word in words):
        return True
    return bool(words) and words[0] != wanted[0] and wanted[0] in words[1:4]


# -- what many of them say together -----------------------------------------------------------------------------------
def right_gaps(results: Sequence[Result]) -> list[int]:
    """Only a right answer has a gap."""
    return [result.gap_ms for result in results if result.right and result.gap_ms is not None]


def rounded(values: Sequence[float], share: float) -> int | None:
    return round(percentile(values, share)) if values else None


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Right, of, remnants, and the gap of the right ones."""
    gaps = right_gaps(results)
    return {
        "right": sum(result.right for result in results),
        "of": len(results),
        "remnants": sum(result.remnant for result in results),
        "p50": rounded(gaps, 0.5),
        "p95": rounded(gaps, 0.95),
    }


def stages(results: Sequence[Result]) -> dict[str, int | None]:
    """The median of each stage of the right ones, as the loop saw it."""
    names = ("endpoint", "recognition", "answer", "voice")
    found = {name: [one.latencies[name] for one in results if one.right and name in one.latencies] for name in names}
    return {name: rounded(values, 0.5) for name, values in found.items()}


def line(one: Result) -> str:
    """One request, for the eye."""
    mark = ("right" if one.right else "WRONG") + (" REMNANT" if one.remnant else "") + (" CUT" if one.cut else "")
    parts = " ".join(f"{name}={value}" for name, value in one.latencies.items())
    return (
        f"{mark:5} {one.voice:6} {one.way} {one.text!r} heard {one.heard!r} said {one.said!r} {one.reason} "
        f"true-gap={one.gap_ms} late={one.late_ms} {parts}"
    )
