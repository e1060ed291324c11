"""Owns the made-up speech: the steps of the demo visit and the requests of the benches, as 16 kHz recordings.

    python -m tools.recordings OUT_DIR [--requests]

What is said stands in device/visits.toml and in requests.toml. Nothing here decides when a line of the visit is played:
the visit is interactive, so the replay waits for what the line names (`when`) and then for `pause_ms`. The same text
gives the same audio on one machine; engines differ between machines, so nothing may compare hashes of it.
"""

from __future__ import annotations

import argparse
import json
import tomllib
import wave
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import soxr

from audio.frames import RATE, Pcm, ms, silence
from device.demo import Line, script
from models.engines import Synthesizer

REQUESTS = Path(__file__).with_name("requests.toml")
WAKE = "Hey Jarvis"
PAUSE_MS = 700
"""A natural pause between the wake word and the request."""

Voice = Literal["joe", "hibari"]
Part = str | int
"""A text to speak, or a pause in ms."""

_LEAD_MS, _TAIL_MS = 500, 1000
_FLOOR_DB = -65.0  # of a quiet room: no recording of a microphone is digital silence
_SEED = 20


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


def visit() -> list[Line]:
    """The demo visit in order."""
    return script("visit")


def request_set() -> list[Request]:
    """The requests of the benches; the voices take turns."""
    voices = get_args(Voice)
    requests: list[Request] = []
    for entry in tomllib.loads(REQUESTS.read_text(encoding="utf-8"))["request"]:
        expected, reply = entry["expected"], entry.get("reply", "")
        for number, said in enumerate(entry["say"], start=1):
            voice = voices[len(requests) % len(voices)]
            arguments = said.get("arguments", {})
            requests.append(Request(f"{expected}-{number}", voice, said["text"], expected, arguments, reply))
    return requests


@lru_cache(maxsize=1024)
def speak(voice: str, text: str, speed: float = 1.0) -> Pcm:
    """One synthesis at 16 kHz. Read-only, shared by all who ask for it again: copy it to change it."""
    engine = _engine(voice, speed)
    clauses = [clause.pcm for clause in engine.synthesize(text)]
    if not clauses:
        raise ValueError(f"nothing to say in {text!r}")
    resampled = soxr.resample(np.concatenate(clauses), engine.rate, RATE)
    pcm: Pcm = np.asarray(resampled, np.int16)
    pcm.flags.writeable = False
    return pcm


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


def save(path: Path, pcm: Pcm) -> None:
    """Mono WAV at 16 kHz."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.astype("<i2").tobytes())


@lru_cache(maxsize=8)
def _engine(voice: str, speed: float) -> Synthesizer:
    """Loaded once and kept: loading takes a second."""
    engine: Synthesizer
    if voice == "joe":
        from models.tts_piper import PiperSynthesizer

        engine = PiperSynthesizer(length_scale=1.0 / speed)
    else:
        from models.tts_hibari import HibariSynthesizer

        engine = HibariSynthesizer(speed=speed)
    engine.load()
    return engine


def write_visit(folder: Path) -> list[Path]:
    """A WAV a step, and visit.json beside them with what is said and when."""
    folder.mkdir(parents=True, exist_ok=True)
    written, index = [], []
    for number, line in enumerate(visit(), start=1):
        path = folder / f"{number:02d}-{line.id}.wav"
        save(path, assemble([joined(line.voice, line.say)]))
        index.append({"file": path.name, "when": line.when, "pause_ms": line.pause_ms, "say": list(line.say)})
        written.append(path)
    (folder / "visit.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return written


def write_requests(folder: Path) -> list[Path]:
    """Three WAVs a request (alone, in one breath, with a pause) and requests.json beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for request in request_set():
        voice, text = request.voice, request.text
        ways = {"alone": speak(voice, text), "breath": one_breath(voice, text), "pause": with_pause(voice, text)}
        for way, pcm in ways.items():
            path = folder / f"{request.id}-{way}.wav"
            save(path, assemble([pcm]))
            written.append(path)
    index = [request._asdict() for request in request_set()]
    (folder / "requests.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.recordings", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out_dir", type=Path)
    parser.add_argument(
        "--requests", action="store_true", help="the requests of the benches too, into OUT_DIR/requests"
    )
    options = parser.parse_args(arguments)
    written = write_visit(options.out_dir)
    if options.requests:
        written += write_requests(options.out_dir / "requests")
    print(f"{len(written)} recordings in {options.out_dir}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
