"""The timeline picture: latencies are arithmetic, labels do not overlap, no words without permission."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import numpy as np

from audio.events import (
    CallDialling,
    Event,
    FinalText,
    ReplyDecided,
    ReplyFinished,
    ReplyStarted,
    SpeechEnded,
    SpeechStarted,
    StaleDropped,
    TurnEnded,
    TurnStarted,
    UtteranceEnded,
    WakeHeard,
)
from audio.frames import RATE, Pcm, Samples, TurnId, ms
from device.timeline import Turns, draw, turns_of

SVG = "{http://www.w3.org/2000/svg}"


def turn(
    number: int, start_ms: int, heard: str = "what time is it", said: str = "It is <three> & thirty."
) -> list[Event]:
    def at(offset: int) -> Samples:
        return ms(start_ms + offset)

    one = TurnId(100_000 + number)
    return [
        WakeHeard(word="hey_jarvis", score=0.98, word_end=at(0), at=at(20)),
        TurnStarted(turn=one, by="wake", since=at(0), at=at(20)),
        SpeechStarted(onset=at(100), at=at(150)),
        SpeechEnded(last=at(1000), at=at(1150)),
        UtteranceEnded(turn=one, reason="silence", speech_end=at(1000), at=at(1600)),
        FinalText(turn=one, text=heard, at=at(1700)),
        ReplyDecided(turn=one, reply="r", text=said, at=at(1710)),
        ReplyStarted(turn=one, reply="r", at=at(1850)),
        ReplyFinished(turn=one, reply="r", heard=said, at=at(3000)),
        TurnEnded(turn=one, outcome="answered", at=at(3010)),
    ]


def noise(duration_s: int) -> Pcm:
    return (np.random.default_rng(3).standard_normal(duration_s * RATE) * 3000).astype(np.int16)


def texts_of(path: Path) -> list[ET.Element]:
    return list(ET.parse(path).getroot().iter(f"{SVG}text"))


def test_latencies_are_the_distance_of_events() -> None:
    (trace,) = turns_of(turn(1, 500))
    assert trace.gap_ms == 850
    assert trace.latencies() == {"gap": 850, "endpoint": 600, "recognition": 100, "answer": 10, "voice": 140}
    assert (trace.heard, trace.outcome, trace.by) == ("what time is it", "answered", "wake")


def test_old_turns_are_forgotten_and_stale_ones_open_none() -> None:
    turns = Turns(keep=2)
    for number in (1, 2, 3):
        for event in turn(number, number * 4000):
            turns.take(event)
    assert turns.take(StaleDropped(kind="FinalText", turn=TurnId(7))) is None
    assert list(turns.traces) == [100_002, 100_003]


def test_the_picture_is_whole_and_labels_do_not_touch(tmp_path: Path) -> None:
    events = [*turn(1, 500), *turn(2, 14_500), *turn(3, 22_000, said="long " * 80)]
    out = tmp_path / "t.svg"
    draw(noise(30), noise(30), [(1, event) for event in events], out)
    words = [(t.text or "", float(t.get("x", 0)), float(t.get("y", 0)), t.get("text-anchor")) for t in texts_of(out)]
    assert [w[0] for w in words].count("850 ms") == 3
    assert any(w[0] == "said: It is <three> & thirty." for w in words)
    assert any(w[0].startswith("turn 1, wake: answered") for w in words)
    for (a, ax, ay, a_anchor), (b, bx, by, b_anchor) in combinations(words, 2):
        if abs(ay - by) < 10 and a_anchor == b_anchor == "start":
            left, right, text = (ax, bx, a) if ax <= bx else (bx, ax, b)
            assert left + len(text) * 5.5 <= right, f"{a!r} and {b!r} overlap"
    assert all(0 <= x <= 1600 for _, x, _, _ in words)


def test_without_permission_nobodys_words_are_in_it(tmp_path: Path) -> None:
    events: list[Event] = [*turn(1, 500), CallDialling(call="c", link="practice", destination="Mary", at=ms(4000))]
    draw(noise(5), noise(5), [(1, event) for event in events], tmp_path / "t.svg", texts=False)
    picture = (tmp_path / "t.svg").read_text()
    assert not re.search("time is|three|Mary", picture)
    assert "850 ms" in picture


def test_only_one_epoch_is_drawn(tmp_path: Path) -> None:
    events = [(1, event) for event in turn(1, 500)] + [(2, event) for event in turn(2, 500, heard="the other")]
    draw(noise(5), noise(5), events, tmp_path / "first.svg")
    draw(noise(5), noise(5), events, tmp_path / "second.svg", epoch=2)
    assert "the other" not in (tmp_path / "first.svg").read_text()
    assert "the other" in (tmp_path / "second.svg").read_text()


def test_nothing_at_all_is_a_picture_too(tmp_path: Path) -> None:
    draw(noise(0), noise(0), [], tmp_path / "t.svg")
    assert texts_of(tmp_path / "t.svg")


def test_control_characters_do_not_break_the_file(tmp_path: Path) -> None:
    draw(noise(5), noise(5), [(1, e) for e in turn(1, 500, heard="a\x00b\x1b")], tmp_path / "t.svg")
    assert any(t.text == "heard: ab" for t in texts_of(tmp_path / "t.svg"))
