"""`wakeline run` on a virtual card, in real time: the visit, push-to-talk, mute."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audio.frames import RATE
from tests.live_rig import CODE, Appliance, appliance, offline_answers, spoken, transcribed, without_the_time
from tests.virtual_card import VirtualCard, missing, virtual_card, wait_until
from tests.wer import wer

pytestmark = [pytest.mark.sound, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualCard]:
    with virtual_card() as card:
        yield card


@pytest.fixture(scope="module")
def running(card: VirtualCard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with appliance(tmp_path_factory.mktemp("visit"), card.env) as running:
        running.wait_to_hear()
        yield running


def test_the_visit_in_real_time(card: VirtualCard, running: Appliance, tmp_path: Path) -> None:
    """The same answers as offline, aloud; the booking is in the book, once."""
    loudspeaker = card.recording()
    began = datetime.now(UTC)
    running.play_visit(card)
    running.wait_for("AlertCleared")
    sound = loudspeaker.stop()
    said, expected = running.said(), offline_answers(tmp_path / "offline")
    assert len(expected) == 5
    assert [without_the_time(line) for line in said] == [without_the_time(line) for line in expected]
    assert [(entry.starts.hour, entry.state) for entry in running.appointments()] == [(20, "booked")]
    wait_until(lambda: running.unheard() == [], 5, "the booking counts as heard")
    started, finished = (running.events(kind)[2] for kind in ("ReplyStarted", "ReplyFinished"))
    first, last = ((datetime.fromisoformat(entry["wall"]) - began).total_seconds() for entry in (started, finished))
    heard = transcribed(sound[round((first - 0.5) * RATE) : round((last + 0.5) * RATE)])
    booked, *code = re.split(r"[.,]? your code", heard, flags=re.IGNORECASE)  # its digits are written in many ways
    assert code, heard
    assert wer(CODE.sub("", said[2]), booked) <= 0.2, (said[2], heard)


def test_push_to_talk_from_another_terminal(card: VirtualCard, running: Appliance) -> None:
    mark = running.mark
    running.command("press")
    running.wait_for("TurnStarted", after=mark)
    card.play(spoken("hibari", "Set a timer for ten minutes."))
    running.command("release")
    assert running.wait_for("UtteranceEnded", after=mark)["reason"] == "release"
    assert running.wait_for("ReplyFinished", after=mark)["heard"] == "Timer set for 10 minutes."


def test_muted_means_that_the_microphone_is_closed(card: VirtualCard, running: Appliance) -> None:
    wait_until(lambda: card.microphone_users() == 1, 5, "it listens")
    running.command("mute")
    wait_until(lambda: card.microphone_users() == 0, 5, "the microphone is given back")
    assert "state: muted" in running.command("status")
    mark = running.mark
    running.command("say", "I can still speak.")
    assert running.wait_for("ReplyFinished", after=mark)["heard"] == "I can still speak."
    running.command("unmute")
    running.wait_for_state("listening")
    assert card.microphone_users() == 1
