"""Owns the timing of the voices on this machine, and which one to take here: kept in the state folder for `config`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from device.bench.process import pss_mb
from models.engines import EngineError
from models.host import HostedSynthesizer

VOICES = {"piper": "models.tts_piper:PiperSynthesizer", "hibari": "models.tts_hibari:HibariSynthesizer"}
"""In the order of preference; both in a child process here, so that they are weighed alike."""
SOON_MS = 300.0
"""A reply that begins within it is no wait; Piper is taken where it does."""
REPLIES = (
    "Your appointment with the dentist is on Thursday at three.",
    "There is a free table by the window at seven.",
    "The timer for the pasta has another four minutes left.",
    "I have booked the haircut for two people on Friday.",
    "We are open from nine in the morning until six.",
    "The meeting room on the second floor is taken today.",
    "Please tell me your name and the day you want.",
    "The front desk does not answer, so I'll call again.",
    "It is a quarter to eleven and the sun shines.",
    "Your code is four seven two nine, please keep it.",
)
"""Ten words each."""
_FILE = "voices.json"


class Take(msgspec.Struct, frozen=True):
    """What the last bench has found."""

    take: str
    begins_ms: dict[str, float]
    """Of a 10-word reply, the median, by voice."""
    on: date


@dataclass(slots=True)
class Voice:
    """One voice's figures."""

    load_s: float = 0.0
    pss_mb: float = 0.0
    missing: str = ""
    """Why it cannot be measured: the error's code."""
    begins: list[float] = field(default_factory=list)
    """Milliseconds to the first clause."""
    factors: list[float] = field(default_factory=list)
    """Computing time over the speech's own."""

    def values(self) -> dict[str, Any]:
        if self.missing:
            return {"missing": self.missing}
        return {
            "begins_ms": {"p50": _percentile(self.begins, 50), "p95": _percentile(self.begins, 95)},
            "real_time_factor": round(float(np.median(self.factors)), 4),
            "load_s": round(self.load_s, 2),
            "pss_mb": round(self.pss_mb, 1),
        }


def measure(rounds: int = 3, slowdown: float = 1.0) -> dict[str, Any]:
    """Both voices in turn on one core, so that what else the machine does meets both; times times `slowdown`.

    Raises:
        EngineError: no voice at all can be used.
    """
    load = os.getloadavg()[0]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        voices = _measured(rounds)
    finally:
        os.sched_setaffinity(0, cores)
    for voice in voices.values():
        voice.begins = [slowdown * value for value in voice.begins]
        voice.factors = [slowdown * value for value in voice.factors]
    figures = {name: voice.values() for name, voice in voices.items()}
    begins = {name: found["begins_ms"]["p50"] for name, found in figures.items() if "begins_ms" in found}
    others = {"replies": len(REPLIES) * rounds, "slowdown": slowdown, "load_before": round(load, 2)}
    return {"take": recommended(begins), **others, **figures}


def recommended(begins_ms: dict[str, float]) -> str:
    """Piper where a reply begins soon enough with it, else hibari; what is there, if only one is."""
    if begins_ms.get("piper", SOON_MS + 1) <= SOON_MS or "hibari" not in begins_ms:
        return "piper"
    return "hibari"


def keep(figures: dict[str, Any], state: Path, on: date) -> None:
    """Write down what was found, whole or not at all."""
    begins = {name: figures[name]["begins_ms"]["p50"] for name in VOICES if "begins_ms" in figures[name]}
    state.mkdir(parents=True, exist_ok=True)
    new = state / f"{_FILE}.new"
    new.write_bytes(msgspec.json.encode(Take(figures["take"], begins, on)))
    new.replace(state / _FILE)


def kept(state: Path) -> Take | None:
    """What the last bench has found; None when there was none, or its file cannot be read."""
    try:
        return msgspec.json.decode((state / _FILE).read_bytes(), type=Take)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def advice(state: Path, engine: str) -> str:
    """One line for `wakeline config`."""
    found = kept(state)
    if found is None:
        return "Voice: not timed on this board; `wakeline bench tts` says which one to take."
    times = ", ".join(f"{name} {value:.0f} ms" for name, value in found.begins_ms.items())
    same = "as it is" if found.take == engine else f'set [tts] engine = "{found.take}"'
    return f"Voice: a 10-word reply begins after {times} on this board ({found.on}): take {found.take}, {same}."


def _measured(rounds: int) -> dict[str, Voice]:
    voices = {name: Voice() for name in VOICES}
    engines: dict[str, HostedSynthesizer] = {}
    faults: list[EngineError] = []
    try:
        for name, factory in VOICES.items():
            began = time.perf_counter()
            engine = HostedSynthesizer(factory)
            try:
                engine.load()
            except EngineError as error:
                voices[name].missing = error.code
                faults.append(error)
                continue
            engines[name] = engine
            voices[name].load_s = time.perf_counter() - began
        if not engines:
            raise faults[0]
        for text in chain(*[REPLIES] * rounds):
            for name, engine in engines.items():
                _time(engine, text, voices[name])
        for name, engine in engines.items():
            assert engine.pid is not None
            voices[name].pss_mb = pss_mb(engine.pid)
    finally:
        for engine in engines.values():
            engine.close()
    return voices


def _time(engine: HostedSynthesizer, text: str, voice: Voice) -> None:
    began = time.perf_counter()
    clauses = engine.synthesize(text)
    samples = len(next(clauses).pcm)
    voice.begins.append((time.perf_counter() - began) * 1000)
    samples += sum(len(clause.pcm) for clause in clauses)
    voice.factors.append((time.perf_counter() - began) * engine.rate / samples)


def _percentile(values: list[float], percent: int) -> float:
    return round(float(np.percentile(values, percent)), 1)
