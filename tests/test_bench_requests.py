"""The bench of single requests: what counts as right, and a few requests of each kind through it. No times."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio.buffers import PreRoll
from audio.events import WakeHeard
from audio.frames import RATE, Samples, ms
from audio.utterance import request_start
from audio.wav import read_wav
from device.bench import requests
from device.bench.requests import Bench, Result, has_remnant, line, said, stages, summary
from device.bench.speech import Request, request_set

FEW = request_set()[::6][:6]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return requests.bench("hibari")


def result(gap_ms: int | None, *, right: bool = True) -> Result:
    return Result("a-1", "joe", "pause", "Help.", "Help.", "Yes.", gap_ms, {"endpoint": 600}, right, remnant=False)


def test_only_right_ones_have_a_gap() -> None:
    results = [result(800), result(5, right=False), result(900)]
    assert summary(results) == {"right": 2, "of": 3, "remnants": 0, "p50": 800, "p95": 900}
    assert summary([])["p50"] is None
    assert stages(results) == {"endpoint": 600, "recognition": None, "answer": None, "voice": None}
    assert sum("WRONG" in line(one) for one in results) == 1


@pytest.mark.parametrize(
    ("heard", "text", "remnant"),
    [
        ("Jarvis, what time is it?", "What time is it?", True),
        ("So call the front desk.", "Call the front desk.", True),
        ("It's the time", "What's the time?", False),
        ("Call the front desk", "Call the front desk.", False),
        ("", "Help.", False),
    ],
)
def test_remnants_of_the_wake_word(heard: str, text: str, *, remnant: bool) -> None:
    assert has_remnant(heard, text) is remnant


def test_the_request_begins_at_the_quietest_moment_before_the_detection() -> None:
    audio = PreRoll(RATE)
    pcm = np.full(ms(400), 5000, np.int16)
    pcm[ms(280) : ms(340)] = 50
    audio.write(pcm)
    word = WakeHeard(at=Samples(ms(400)), word="w", score=1.0, word_end=Samples(ms(200)))
    assert ms(290) <= request_start(word, audio) <= ms(330)
    at_once = WakeHeard(at=Samples(ms(400)), word="w", score=1.0, word_end=Samples(ms(400)))
    assert request_start(at_once, audio) == ms(400), "a detector without delay is believed"


def measured(bench: Bench, way: str) -> list[Result]:
    async def go() -> list[Result]:
        return [await bench.measure(request, way) for request in FEW]

    return asyncio.run(go())


@pytest.mark.models
def test_requests_end_in_their_action_and_leave_what_was_heard(bench: Bench, tmp_path: Path) -> None:
    results = measured(replace(bench, record=tmp_path), "pause")
    assert sum(one.right for one in results) >= len(FEW) - 1, "\n".join(map(line, results))
    for one in results:
        assert not one.right or (one.gap_ms is not None and one.late_ms is not None and one.latencies["gap"])
        left = json.loads((tmp_path / f"pause-{one.id}.json").read_text())
        assert (left["right"], left["request"]["text"]) == (one.right, one.text)
        assert len(read_wav(tmp_path / f"pause-{one.id}.wav")) == round(one.audio_s * RATE)
        events = [json.loads(entry) for entry in (tmp_path / f"pause-{one.id}.events.jsonl").read_text().splitlines()]
        ended = next(entry["at"] for entry in events if entry["type"] == "UtteranceEnded")
        assert one.late_ms == round((ended - left["end_sample"]) * 1000 / RATE), "anybody can compute it again"


@pytest.mark.models
def test_requests_in_one_breath(bench: Bench) -> None:
    pause, breath = measured(bench, "pause"), measured(bench, "breath")
    assert sum(one.right for one in breath) >= sum(one.right for one in pause) - 1, "\n".join(map(line, breath))
    assert not any(one.remnant for one in breath), "\n".join(map(line, breath))


@pytest.mark.models
@pytest.mark.parametrize("wrong", [{"expected": "getTime"}, {"arguments": {"duration": 1}}, {"reply": "You can say"}])
def test_another_action_is_not_right(bench: Bench, wrong: dict[str, object]) -> None:
    timer = next(request for request in request_set() if request.expected == "setTimer")
    other = Request(**{**timer._asdict(), **wrong})
    assert not asyncio.run(bench.play(said(other))).right
