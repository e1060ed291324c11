"""`wakeline bench loop`: the whole local loop in one run on one core, each figure beside its reference.

What the figures mean stands in docs/bench.md.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from audio.commands import FeedRecognition, FinishRecognition, StartRecognition, Synthesize
from audio.events import FinalText
from audio.frames import TurnId
from device.app import ears_config
from device.bench import data, idle, process, rooms, tts, wake
from device.bench.options import Options
from device.bench.requests import (
    Bench,
    Result,
    Spoken,
    bench,
    line,
    rounded,
    said,
    stages,
    summary,
)
from device.bench.speech import request_set, speak, spread
from device.bench.words import word_errors

SLOW = 5.0
"""Stands for a small board."""
_T = TurnId(1)


@dataclass(slots=True)
class Run:
    """One run: its options, its engines by voice, the lines about single requests."""

    options: Options
    benches: dict[tuple[str, float], Bench] = field(default_factory=dict)

    def on(self, voice: str, slowdown: float) -> Bench:
        """Loaded once."""
        key = (voice, slowdown)
        if key not in self.benches:
            loaded = next((one for (name, _), one in self.benches.items() if name == voice), None)
            if loaded is None:
                loaded = bench(voice, slowdown, record=self.options.record)
            self.benches[key] = replace(loaded, slowdown=slowdown)
        return self.benches[key]

    async def play(self, on: Bench, spoken: Sequence[Spoken], what: str) -> list[Result]:
        """One after the other; those that went wrong are told."""
        results = []
        for number, one in enumerate(spoken, start=1):
            say(f"\r{what} {number} of {len(spoken)}", end="")
            results.append(await on.play(one))
            if not results[-1].right or results[-1].cut:
                say(f"\r{line(results[-1])}")
        say("")
        return results


def say(text: str, end: str = "\n") -> None:
    """Progress: for the eye, beside the figures."""
    print(text, end=end, file=sys.stderr, flush=True)


def measure(options: Options) -> dict[str, Any]:
    """All parts on one core; children inherit it."""
    if options.data is not None:
        data.read_manifest(options.data)  # A mistake in it is told at once, not after minutes.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    began = time.monotonic()
    try:
        values = asyncio.run(_measure(Run(options)))
    finally:
        os.sched_setaffinity(0, cores)
    values["bench"] = {
        "took_s": round(time.monotonic() - began, 1),
        "core": max(cores),
        "load": [round(load, 2) for load in os.getloadavg()],
        "slowdown": options.slowdown,
        "tts": options.tts,
        "quick": options.quick,
    }
    if options.record is not None:
        options.record.mkdir(parents=True, exist_ok=True)
        (options.record / "figures.json").write_bytes(msgspec.json.format(msgspec.json.encode(values)) + b"\n")
    return values


async def _measure(run: Run) -> dict[str, Any]:
    values: dict[str, Any] = {}
    makers = {"gap": _gap, "pauses": _pauses, "noisy": _noisy, "slow": _slow, "breath": _breath}
    for part in run.options.parts:
        say(f"== {part}")
        if part in makers:
            values |= await makers[part](run)
        elif part == "wake":
            values["wake"] = wake.measure(0.01 if run.options.quick else run.options.hours, quick=run.options.quick)
        elif part == "idle":
            config = ears_config(run.on(run.options.tts, 1.0).config)
            values |= idle.measure(config, 0.5 if run.options.quick else 10.0).values()
        else:
            values |= process.measure(run.options.tts).values()
    if run.options.data is not None:
        say(f"== {run.options.data}")
        values["data"] = await data.measure(run.on(run.options.tts, run.options.slowdown), run.options.data, say)
    return values


# -- the parts ---------------------------------------------------------------------------------------------------------
async def _gap(run: Run) -> dict[str, Any]:
    options = run.options
    on = run.on(options.tts, options.slowdown)
    requests = spread(request_set(), options.count(99, 4))
    results = await run.play(on, [said(request) for request in requests], "requests")
    texts, waits = zip(*(_alone(on, result) for result in results), strict=True)
    heard = [result.heard.split(" | ")[0] for result in results]
    wanted = [result.text for result in results]
    quiet = on.config.loop.endpoint.silence_ms
    return {
        "response_gap_ms": {
            **summary(results),
            "stages": stages(results),
            "reference": {"p50": rounded([quiet + wait for wait in waits], 0.5)},
        },
        "wer_percent": wer_percent(wanted, heard),
        "wer_reference_percent": wer_percent(wanted, texts),
        "replay_speed_x": round(sum(one.audio_s for one in results) / sum(one.took_s for one in results), 1),
        "replay_reference_x": 1.0,
    }


def _alone(on: Bench, result: Result) -> tuple[str, float]:
    """What a loop without work ahead does: the recognizer on the request cut out by hand, then the whole reply
    synthesized before its first sample is played. Text, and ms at the slowdown."""
    pcm = speak(result.voice, result.text)
    began = time.perf_counter()
    text = ""
    for command in (StartRecognition(turn=_T), FeedRecognition(turn=_T, pcm=pcm.tobytes()), FinishRecognition(turn=_T)):
        for event in on.jobs["stt"].run(command):
            text = event.text if isinstance(event, FinalText) else text
    for _ in on.jobs["tts"].run(Synthesize(turn=_T, text=result.said.split(" | ")[0] or "Yes.")):
        pass
    return text, (time.perf_counter() - began) * 1000 * on.slowdown


def wer_percent(wanted: Sequence[str], heard: Sequence[str]) -> float:
    counts = [word_errors(one, other) for one, other in zip(wanted, heard, strict=True)]
    return round(100 * sum(wrong for wrong, _ in counts) / max(1, sum(words for _, words in counts)), 2)


async def _pauses(run: Run) -> dict[str, Any]:
    on = run.on(run.options.tts, run.options.slowdown)
    spoken = rooms.paused(run.options.count(30, 3))
    results = await run.play(on, spoken, "with a pause inside")
    plain = rooms.plain_endpoint(spoken, on.config.loop.endpoint)
    return {
        "false_end_of_turn": {
            "cut": sum(one.cut for one in results),
            "of": len(results),
            "right": sum(one.right for one in results),
            "late_p50_ms": rounded([one.late_ms for one in results if one.late_ms is not None and not one.cut], 0.5),
            "reference": plain.values(),
        }
    }


async def _noisy(run: Run) -> dict[str, Any]:
    on = run.on(run.options.tts, run.options.slowdown)
    requests = spread(request_set(), run.options.count(30, 2))
    values: dict[str, Any] = {}
    everything: list[Result] = []
    for room in rooms.ROOMS:
        spoken = [rooms.in_room(request, room, number) for number, request in enumerate(requests)]
        results = await run.play(on, spoken, room.name)
        plain = rooms.plain_endpoint(spoken, on.config.loop.endpoint)
        values[room.name] = {**_room(results), "reference": plain.values()}
        everything += results
    return {"noisy": {**_room(everything), **values}}


def _room(results: Sequence[Result]) -> dict[str, Any]:
    found = summary(results)
    return {
        "right": found["right"],
        "of": found["of"],
        "capped": sum(one.reason == "cap" for one in results),
        "cut": sum(one.cut for one in results),
        "gap_p50_ms": found["p50"],
        "gap_p95_ms": found["p95"],
    }


async def _slow(run: Run) -> dict[str, Any]:
    """The same requests on a computer that is five times slower, with both voices; and which one to take there."""
    slowdown = run.options.slowdown if run.options.slowdown > 1 else SLOW
    requests = spread(request_set(), run.options.count(99, 2))
    values: dict[str, Any] = {"slowdown": slowdown}
    for voice in tts.VOICES:
        results = await run.play(run.on(voice, slowdown), [said(one) for one in requests], f"{voice}, slow")
        values[voice] = {**summary(results), "stages": stages(results)}
    values["recommended"] = tts.measure(1, slowdown)["take"]
    values["p50"] = values[values["recommended"]]["p50"]
    return {"slow_board": values}


async def _breath(run: Run) -> dict[str, Any]:
    """In one breath with the wake word, beside the same with a pause."""
    on = run.on(run.options.tts, run.options.slowdown)
    requests = spread(request_set(), run.options.count(99, 2))
    both = {way: await run.play(on, [said(one, way) for one in requests], way) for way in ("breath", "pause")}
    return {"one_breath": {**summary(both["breath"]), "reference": summary(both["pause"])}}


# -- the table ---------------------------------------------------------------------------------------------------------
def lines(values: dict[str, Any]) -> list[str]:
    """A line for each figure, under its name in the JSON object."""
    return [f"{name:44} {value}" for name, value in _flat(values)]


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        whole = f"{before}.{name}" if before else name
        found += _flat(value, whole) if isinstance(value, dict) else [(whole, "-" if value is None else value)]
    return found
