"""What the tests of the engines share: speech made at test time, foreign recordings, and waiting for a condition."""

from __future__ import annotations

import functools
import os
import threading
import time
import tomllib
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from models.engines import RATE, Pcm, Synthesizer
from models.tts_hibari import HibariSynthesizer
from models.tts_piper import PiperSynthesizer

RECORDINGS = Path(os.environ.get("WAKELINE_RECORDINGS", Path(__file__).parents[2] / "shared" / "recordings"))
VOICES = ("joe", "heart")


@functools.cache
def voice(name: str) -> Synthesizer:
    """One loaded synthesizer for the whole run."""
    synthesizer = {"joe": PiperSynthesizer, "heart": HibariSynthesizer}[name]()
    synthesizer.load()
    return synthesizer


@functools.cache
def say(name: str, text: str) -> Pcm:
    """The text in a voice at 16 kHz, half a second of quiet before and a second after it."""
    synthesizer = voice(name)
    speech = np.concatenate([clause.pcm for clause in synthesizer.synthesize(text)]).astype(np.float32)
    pcm = soxr.resample(speech, synthesizer.rate, RATE)
    return padded(np.clip(pcm, -32768, 32767).astype(np.int16))


def padded(pcm: Pcm, before: float = 0.5, after: float = 1.0) -> Pcm:
    """The audio with the faint hiss of a room around it, a whole number of frames."""
    lead, tail = int(before * RATE), int(after * RATE)
    whole = np.concatenate([noise(lead, 4), pcm, noise(tail, 4)])
    return whole[: len(whole) // 160 * 160]


def noise(samples: int, amplitude: float, seed: int = 1) -> Pcm:
    """White noise of this RMS."""
    return (np.random.default_rng(seed).standard_normal(samples) * amplitude).astype(np.int16)


def frames(pcm: Pcm) -> list[Pcm]:
    """10 ms each."""
    return list(pcm[: len(pcm) // 160 * 160].reshape(-1, 160))


def recording(name: str) -> Pcm:
    """A recording of a person at 16 kHz; skips the test where the folder of foreign recordings is missing."""
    path = RECORDINGS / name
    if not path.is_file():
        pytest.skip(f"{path} is missing: foreign recordings are no part of the repository (WAKELINE_RECORDINGS)")
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    if rate == RATE:
        return pcm
    return np.clip(soxr.resample(pcm.astype(np.float32), rate, RATE), -32768, 32767).astype(np.int16)


def transcript(name: str) -> str:
    """What is said in a recording."""
    path = RECORDINGS / "manifest.toml"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    entries = tomllib.loads(path.read_text("utf-8"))["recording"]
    return next(str(entry["text"]) for entry in entries if entry["file"] == name)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a state that nothing announces; fails at the deadline."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the state was not reached in time"
        pause.wait(0.005)
