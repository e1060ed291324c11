"""Owns the two figures of a single request: the response gap, and whether it is understood in one breath.

    taskset -c 1 python -m tools.measure gap|breath [--json] [--tts piper|hibari] [--slowdown K] [--speed S] [--only N]

Every request of requests.toml goes through the whole appliance offline, its costs measured on this machine (times K).
One is right only if the action it asks for is the one that was done: the function ran once with these arguments, the
book has that appointment, the timer is gone. `gap` says each with a pause after the wake word. `breath` says each in
both voices, with a pause and in one breath, and counts what is left of the wake word in front of a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from audio.assembly import build_jobs
from audio.events import ReplyDecided
from audio.workers import Job
from device.app import ears_config
from device.config import Config
from device.functions.sqlite_store import SqliteStore
from device.functions.store import Reading
from device.session import Played, play, recorded
from device.timeline import turns_of
from models.stt_moonshine import plain
from tools.recordings import Request, Voice, assemble, one_breath, request_set, with_pause

ZONE = "Europe/Vienna"
START = datetime(2026, 3, 10, 10)
"""As requests.toml has it; local time."""
_MOST_CALLS = 4


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
    latencies: Mapping[str, int]
    right: bool
    remnant: bool
    """Words of nobody's stand before the request."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Loaded engines and the configuration they are run with."""

    config: Config
    jobs: Mapping[str, Job]
    slowdown: float = 1.0
    speed: float = 1.0
    """Of the speaker."""

    async def measure(self, request: Request, way: str) -> Result:
        made = one_breath if way == "breath" else with_pause
        pcm = assemble([made(request.voice, request.text, self.speed)])
        start = START.replace(tzinfo=self.config.zone)
        with TemporaryDirectory() as folder:
            database = Path(folder) / "bench.db"
            if request.expected == "cancelTimer":
                _set_timer(database, start)
            played = await play(
                self.config, recorded(pcm), database=database, start=start, jobs=self.jobs, slowdown=self.slowdown
            )
            right = done(request, played, database)
        turns = turns_of(played.trace.events)
        turn = next((turn for turn in turns if turn.by == "wake"), None)
        return Result(
            id=request.id,
            voice=request.voice,
            way=way,
            text=request.text,
            heard=" | ".join(turn.heard for turn in turns if turn.heard),
            said=" | ".join(turn.said for turn in turns if turn.said),
            gap_ms=turn.gap_ms if turn else None,
            latencies=turn.latencies() if turn else {},
            right=right and turn is not None,
            remnant=turn is not None and has_remnant(turn.heard, request.text),
        )


def bench(tts: str = "piper", slowdown: float = 1.0, speed: float = 1.0) -> Bench:
    """The defaults of the appliance, whatever this machine's configuration says."""
    config = Config.model_validate({"timezone": ZONE, "tts": {"engine": tts}})
    return Bench(config, build_jobs(ears_config(config)), slowdown, speed)


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


# -- the two measurements ---------------------------------------------------------------------------------------------
async def gap(on: Bench, requests: Sequence[Request]) -> list[Result]:
    """Each with a pause after the wake word; the voices take turns."""
    return [await on.measure(request, "pause") for request in requests]


async def breath(on: Bench, requests: Sequence[Request]) -> list[Result]:
    """Each in both voices, with a pause and without."""
    spoken = [request._replace(voice=voice) for voice in get_args(Voice) for request in requests]
    return [await on.measure(request, way) for request in spoken for way in ("pause", "breath")]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Per voice and way: right, of, remnants, and the gap of the right ones."""
    groups: dict[str, Any] = {}
    for key in sorted({(result.way, result.voice) for result in results} | {(result.way, "") for result in results}):
        way, voice = key
        found = [result for result in results if result.way == way and voice in ("", result.voice)]
        gaps = [result.gap_ms for result in found if result.right and result.gap_ms is not None]
        groups[f"{way} {voice or 'all'}"] = {
            "right": sum(result.right for result in found),
            "of": len(found),
            "remnants": sum(result.remnant for result in found),
            "gap_p50_ms": percentile(gaps, 0.5) if gaps else None,
            "gap_p95_ms": percentile(gaps, 0.95) if gaps else None,
        }
    return groups


def lines(results: Sequence[Result]) -> list[str]:
    """One a request, then one a group."""
    out = []
    for one in results:
        mark = "right" if one.right else "WRONG"
        mark += " REMNANT" if one.remnant else ""
        parts = " ".join(f"{name}={value}" for name, value in one.latencies.items())
        out.append(f"{mark:5} {one.voice:6} {one.way:6} {one.text!r} heard {one.heard!r} said {one.said!r} {parts}")
    for name, group in summary(results).items():
        figures = f"{group['right']}/{group['of']} right, {group['remnants']} remnants"
        out.append(f"{name}: {figures}, gap p50 {group['gap_p50_ms']} ms, p95 {group['gap_p95_ms']} ms")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("gap", "breath"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tts", choices=("piper", "hibari"), default="piper", help="the appliance's own voice")
    parser.add_argument("--slowdown", type=float, default=1.0, help="of the computer")
    parser.add_argument("--speed", type=float, default=1.0, help="of the speakers")
    parser.add_argument("--only", type=int, help="so many requests, spread over all kinds")
    options = parser.parse_args(arguments)
    requests = request_set()
    if options.only:
        requests = requests[:: max(1, len(requests) // options.only)][: options.only]
    on = bench(options.tts, options.slowdown, options.speed)
    results = asyncio.run((gap if options.what == "gap" else breath)(on, requests))
    if options.json:
        print(json.dumps({"summary": summary(results), "requests": [asdict(one) for one in results]}, indent=2))
    else:
        print("\n".join(lines(results)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
