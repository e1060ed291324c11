"""The demo visit with the real engines: right answers, one booking, a timer that stops, speech that is understood."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from audio.buffers import Reblocker
from audio.events import AlertCleared, AlertRaised, FinalText, ReplyFinished, TurnEnded
from audio.frames import RATE, Pcm, ms
from audio.replay import Trace
from audio.turn import Turn
from audio.wav import read_wav
from device.bench.speech import assemble, one_breath
from device.demo import Room, script, steps
from device.functions.sqlite_store import SqliteStore
from tests.live_rig import CODE
from tests.models_speech import voice
from tests.offline_house import ZONE, answers, of, session, spoken, transcribed
from tests.scenario import lines
from tests.wer import wer

pytestmark = pytest.mark.models

ANSWERS = [
    "It's 10 AM.",
    "At what time?",
    "You're booked for tomorrow at 8 PM.",
    "Timer set for 10 seconds.",
    "The timer of 10 seconds is over.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visit")


@pytest.fixture(scope="module")
def visit(folder: Path) -> Trace:
    """Played once for all tests of this file."""
    voices = {"joe": voice("joe"), "hibari": voice("heart")}
    return session(Room(steps(script("visit"), voices)), folder).trace


def test_everything_is_answered_rightly_and_in_order(visit: Trace) -> None:
    assert [CODE.sub("", answer) for answer in answers(visit)] == ANSWERS
    heard = [final.text for final in of(visit, FinalText)]
    asked = ["what time is it", "book an appointment tomorrow", "at eight p.m.", "set a timer for ten seconds", "stop"]
    assert [wer(reference, text) for reference, text in zip(asked, heard, strict=True)] == [0, 0, 0, 0, 0]
    assert {ended.outcome for ended in of(visit, TurnEnded)} == {"answered"}


def test_the_booking_is_in_the_book_once(visit: Trace, folder: Path) -> None:
    assert visit.events
    store = SqliteStore(folder / "house.db")
    with store.reading() as book:
        (entry,) = book.appointments(cancelled=True)
    assert store.unheard() == [], "all of it was heard"
    store.close()
    assert (entry.starts.astimezone(ZONE).isoformat(), entry.state) == ("2026-12-02T20:00:00+01:00", "booked")


def test_the_timer_rings_until_stop(visit: Trace) -> None:
    (raised,), (cleared,) = of(visit, AlertRaised), of(visit, AlertCleared)
    assert raised.alert == cleared.alert
    set_at = next(reply.at for reply in of(visit, ReplyFinished) if reply.heard.startswith("Timer set"))
    assert 7.5 < (raised.at - set_at) / RATE < 10.5, "ten seconds from when it was asked for"
    said = next(reply.at for reply in of(visit, ReplyFinished) if reply.heard == ANSWERS[-1])
    assert visit.far[said : cleared.at].any(), "it rings"
    assert not visit.far[cleared.at + ms(100) :].any(), "and then no more"


def test_every_reply_is_understood_as_it_was_meant(visit: Trace) -> None:
    pairs = spoken(visit)
    assert len(pairs) == len(ANSWERS)
    for meant, sound in pairs:
        heard = transcribed(sound)
        # The digits of a code are written in many ways; all else word by word.
        plain, said_code = CODE.subn("", meant)
        before, *code = re.split(r"[.,]? your code", heard, flags=re.IGNORECASE)
        assert wer(plain, before) == 0, (meant, heard)
        assert len(code) == said_code, (meant, heard)


def test_the_command_leaves_the_same_in_files(tmp_path: Path) -> None:
    env = {**os.environ, "TZ": "Europe/Vienna", "WAKELINE_PATHS__STATE_DIR": str(tmp_path / "state")}
    out = tmp_path / "left" / "here"
    command = [sys.executable, "-m", "device.cli", "demo", "--out", str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    said = [line.removeprefix("said: ") for line in done.stdout.splitlines() if line.startswith("said: ")]
    assert re.fullmatch(r"It's 1?\d(:\d\d)? [AP]M\.", said[0])
    assert [CODE.sub("", answer) for answer in said[1:]] == ANSWERS[1:]
    assert done.stdout.count("in the book: ") == 1
    reply, near = read_wav(out / "reply.wav"), read_wav(out / "visit.wav")
    assert len(reply) == len(near) > 30 * RATE
    assert np.abs(reply).max() > 3000
    picture = "".join(ElementTree.parse(out / "timeline.svg").getroot().itertext())
    for word in ("wakeline demo", "Timer set for 10 seconds."):
        assert word in picture
    assert not (tmp_path / "state").exists(), "a rehearsal leaves the real book alone"


class Cut:
    """A recording in blocks of these sizes in turn, re-blocked as the live shell does it."""

    def __init__(self, pcm: Pcm, sizes: list[int]) -> None:
        self._frames = self._cut(pcm, sizes)

    def frame(self, now: int, state: Turn) -> Pcm | None:
        return next(self._frames, None)

    @staticmethod
    def _cut(pcm: Pcm, sizes: list[int]) -> Iterator[Pcm]:
        reblocker, at, turn = Reblocker(), 0, 0
        while at < len(pcm):
            size = sizes[turn % len(sizes)]
            yield from reblocker.push(pcm[at : at + size])
            at, turn = at + size, turn + 1


CHUNKINGS = [[160], [1], [37], [441, 7], [320], [512], [1024, 3, 1600], [4800], [16_000], [1_000_000]]


def test_the_same_recording_gives_the_same_trace_however_it_is_cut(tmp_path: Path) -> None:
    """Ten chunkings, three times each, real engines: every event with its sample, every sample of the answer."""
    pcm = assemble([one_breath("hibari", "What time is it?")], tail_ms=300)
    pcm = pcm[: len(pcm) // 160 * 160]
    traces: set[str] = set()
    sounds: set[bytes] = set()
    for sizes in CHUNKINGS:
        for time in range(3):
            folder = tmp_path / f"{sizes[0]}-{time}"
            folder.mkdir()
            trace = session(Cut(pcm, sizes), folder).trace
            traces.add("\n".join(lines(trace.events, levels=True)))
            sounds.add(trace.far.tobytes())
    assert len(traces) == len(sounds) == 1
    assert "It's 10 AM." in traces.pop()
