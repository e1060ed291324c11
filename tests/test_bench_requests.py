"""The bench of single requests: what counts as right, and a few requests of each kind through it. No times."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from audio.buffers import PreRoll
from audio.events import WakeHeard
from audio.frames import RATE, Samples, ms
from audio.utterance import request_start
from tools import measure
from tools.measure import Bench, Result, has_remnant, lines, percentile, summary
from tools.recordings import Request, request_set

FEW = request_set()[::6][:6]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return measure.bench("hibari")


def result(way: str, gap_ms: int | None, *, right: bool = True) -> Result:
    return Result("a-1", "joe", way, "Help.", "Help.", "Yes.", gap_ms, {}, right, remnant=False)


def test_only_right_ones_have_a_gap() -> None:
    results = [result("pause", 800), result("pause", 5, right=False), result("pause", 900), result("breath", 700)]
    found = summary(results)
    assert found["pause all"] == {"right": 2, "of": 3, "remnants": 0, "gap_p50_ms": 800, "gap_p95_ms": 900}
    assert found["breath joe"]["of"] == 1
    assert sum("WRONG" in line for line in lines(results)) == 1
    assert percentile(range(1, 101), 0.95) == 95


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


@pytest.mark.models
def test_requests_end_in_their_action(bench: Bench) -> None:
    results = asyncio.run(measure.gap(bench, FEW))
    assert sum(one.right for one in results) >= len(FEW) - 1, "\n".join(lines(results))
    assert all(one.gap_ms is not None and one.latencies["gap"] == one.gap_ms for one in results if one.right)


@pytest.mark.models
def test_requests_in_one_breath(bench: Bench) -> None:
    results = asyncio.run(measure.breath(bench, FEW))
    right = {way: sum(one.right for one in results if one.way == way) for way in ("pause", "breath")}
    assert right["breath"] >= right["pause"] - 1, "\n".join(lines(results))
    assert not any(one.remnant for one in results), "\n".join(lines(results))


@pytest.mark.models
@pytest.mark.parametrize("wrong", [{"expected": "getTime"}, {"arguments": {"duration": 1}}, {"reply": "You can say"}])
def test_another_action_is_not_right(bench: Bench, wrong: dict[str, object]) -> None:
    timer = next(request for request in request_set() if request.expected == "setTimer")
    other = Request(**{**timer._asdict(), **wrong})
    assert not asyncio.run(bench.measure(other, "pause")).right
