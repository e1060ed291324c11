"""Owns the made-up speech of the benches: requests by two synthetic voices, as 16 kHz recordings of a quiet room.

What is said stands in requests.toml, with the action that each request must end in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from audio.frames import FRAME, RATE, Pcm, Samples, ms, silence
from audio.resample import resample
from models.engines import Synthesizer

WAKE = "Hey Jarvis"
PAUSE_MS = 700
"""A natural pause between the wake word and the request."""

Voice = Literal["joe", "hibari"]
Part = str | int
"""A text to speak, or a pause in ms."""

_LEAD_MS, _TAIL_MS = 500, 1000
_FLOOR_DB = -65.0  # of a quiet room: no recording of a microphone is digital silence
_SEED = 20
_LEVEL_SHARE = 0.03
"""Of the loudest 10 ms: what is softer before the first and after the last sound is none."""


class Request(NamedTuple):
    """A request without the wake word, and the action it must end in."""

    id: str
    voice: Voice
    text: str
    expected: str
    arguments: Mapping[str, Any]
    """Of the function."""
    reply: str
    """What the answer begins with where no function runs."""


def request_set() -> list[Request]:
    """The requests of the benches; the voices take turns."""
    voices = get_args(Voice)
    requests: list[Request] = []
    table = tomllib.loads(resources.files("device.bench").joinpath("requests.toml").read_text(encoding="utf-8"))
    for entry in table["request"]:
        expected, reply = entry["expected"], entry.get("reply", "")
        for number, said in enumerate(entry["say"], start=1):
            voice = voices[len(requests) % len(voices)]
            arguments = said.get("arguments", {})
            requests.append(Request(f"{expected}-{number}", voice, said["text"], expected, arguments, reply))
    return requests


def spread(requests: Sequence[Request], count: int) -> list[Request]:
    """So many of them, of all kinds, both voices."""
    if count >= len(requests):
        return list(requests)
    return [requests[number * len(requests) // count] for number in range(count)]


@lru_cache(maxsize=1024)
def speak(voice: str, text: str, speed: float = 1.0) -> Pcm:
    """One synthesis at 16 kHz. Read-only, shared by all who ask for it again: copy it to change it."""
    engine = _engine(voice, speed)
    clauses = [resample(clause.pcm, engine.rate, RATE) for clause in engine.synthesize(text)]
    if not clauses:
        raise ValueError(f"nothing to say in {text!r}")
    pcm: Pcm = np.concatenate(clauses)
    pcm.flags.writeable = False
    return pcm


@lru_cache(maxsize=8)
def _engine(voice: str, speed: float) -> Synthesizer:
    """Loaded once and kept: loading takes a second."""
    engine: Synthesizer
    if voice == "joe":
        from models.host import HostedSynthesizer

        engine = HostedSynthesizer("models.tts_piper:PiperSynthesizer", {"length_scale": 1.0 / speed})
    else:
        from models.tts_hibari import HibariSynthesizer

        engine = HibariSynthesizer(speed=speed)
    engine.load()
    return engine


def joined(voice: str, parts: Sequence[Part], speed: float = 1.0) -> Pcm:
    """Texts spoken one after the other, with pauses of that many ms between them."""
    return np.concatenate([speak(voice, part, speed) if isinstance(part, str) else silence(ms(part)) for part in parts])


def one_breath(voice: str, text: str, speed: float = 1.0) -> Pcm:
    """Wake word and request in a single synthesis, as somebody says it who does not wait."""
    request = text if text.startswith("I ") else text[:1].lower() + text[1:]
    return speak(voice, f"{WAKE}, {request}", speed)


def with_pause(voice: str, text: str, speed: float = 1.0, pause_ms: int = PAUSE_MS) -> Pcm:
    """Wake word, pause, request."""
    return joined(voice, [f"{WAKE}.", pause_ms, text], speed)


def assemble(
    items: Sequence[Pcm | int], tail_ms: int = _TAIL_MS, *, lead_ms: int = _LEAD_MS, floor_db: float = _FLOOR_DB
) -> Pcm:
    """A recording: silence, speech and pauses (int: ms), silence; over it a faint noise floor, always the same."""
    parts = [silence(ms(item)) if isinstance(item, int) else item for item in items]
    clean = np.concatenate([silence(ms(lead_ms)), *parts, silence(ms(tail_ms))]).astype(np.float64)
    noise = np.random.default_rng(_SEED).standard_normal(len(clean)) * 32768 * 10 ** (floor_db / 20)
    return np.clip(np.rint(clean + noise), -32768, 32767).astype(np.int16)


def edges(pcm: Pcm) -> tuple[Samples, Samples]:
    """Where the sound of a clean synthesis begins and ends."""
    frames = pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    levels = np.sqrt(np.square(frames).mean(axis=1))
    loud = np.flatnonzero(levels >= _LEVEL_SHARE * levels.max(initial=0.0))
    if not len(loud) or not levels.max():
        return Samples(0), Samples(len(pcm))
    return Samples(int(loud[0]) * FRAME), Samples((int(loud[-1]) + 1) * FRAME)


def trimmed(pcm: Pcm) -> Pcm:
    """Without the silence around it."""
    start, end = edges(pcm)
    return pcm[start:end]
