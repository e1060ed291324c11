"""The sound goes away under a running `wakeline run` and comes back: everything else lives on, and it hears again."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.live_rig import Appliance, appliance, spoken
from tests.virtual_card import VirtualCard, missing, virtual_card, wait_until

pytestmark = [
    pytest.mark.sound,
    pytest.mark.service,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
MOST_S = 5.0


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualCard]:
    with virtual_card() as card:
        yield card


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def running(card: VirtualCard, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """One app for all, with its webhooks; it is never started again."""
    environment = {**card.env, "VAPI_SERVER_SECRET": "open-sesame-of-the-sound"}
    settings = {"web__port": str(port), "web__private_port": "0"}
    with appliance(tmp_path_factory.mktemp("sound"), environment, **settings) as running:
        running.wait_to_hear()
        wait_until(lambda: answers(port), 20, "the webhooks are served")
        yield running


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def lost(running: Appliance, mark: int) -> None:
    """It has noticed, and says so."""
    running.wait_for("MicrophoneLost", after=mark, timeout=MOST_S)
    wait_until(lambda: running.status().get("state") == "no microphone", 2, "the status says so")


def hears_again(running: Appliance, mark: int, since: datetime) -> None:
    """Within 5 s of `since`, by the ears that were there before."""
    again = running.wait_for(
        "MicrophoneOpened", after=mark, where=lambda entry: datetime.fromisoformat(entry["wall"]) > since
    )
    took = (datetime.fromisoformat(again["wall"]) - since).total_seconds()
    print(f"hearing again after {took:.2f} s")
    assert took <= MOST_S
    assert again["epoch"] == running.epoch_at(mark), "the ears were not started again"
    assert running.process.poll() is None


def answers_aloud(card: VirtualCard, running: Appliance) -> None:
    """Called up to three times, as a person does: a word said just when the card is back may not be known yet."""
    for patience in (10.0, 10.0, 30.0):
        mark = running.mark
        card.play(spoken("joe", "Hey Jarvis, what time is it?"))
        try:
            heard = running.wait_for("ReplyFinished", after=mark, timeout=patience)["heard"]
        except AssertionError:
            if patience > 10:
                raise
        else:
            assert heard.startswith("It's ")
            return


def test_the_card_is_unplugged_and_a_timer_rings_all_the_same(card: VirtualCard, running: Appliance) -> None:
    mark = running.request(card, "Set a timer for eight seconds.")
    running.wait_for("ReplyFinished", after=mark)
    mark = running.mark
    card.unplug()
    lost(running, mark)
    running.wait_for("AlertRaised", after=mark, timeout=12)
    assert running.status()["state"] == "no microphone"
    since = datetime.now(UTC)
    card.plug()
    hears_again(running, mark, since)
    running.wait_for("ReplyFinished", after=mark, where=lambda entry: "is over" in entry["heard"])
    running.stop_the_ring(card)


def test_the_sound_server_is_killed_and_started_again(card: VirtualCard, running: Appliance, port: int) -> None:
    mark = running.mark
    card.kill()
    lost(running, mark)
    assert answers(port)
    assert "no microphone" in running.command("status")
    since = datetime.now(UTC)
    card.start()
    hears_again(running, mark, since)
    answers_aloud(card, running)


def test_the_sound_server_hangs_for_a_while(card: VirtualCard, running: Appliance, port: int) -> None:
    mark = running.mark
    card.freeze()
    lost(running, mark)
    assert answers(port)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 4, 5, "longer than ears may be silent")
    assert running.status()["epoch"] == running.epoch_at(mark)
    since = datetime.now(UTC)
    card.thaw()
    hears_again(running, mark, since)


def test_the_machine_sleeps_for_three_seconds(card: VirtualCard, running: Appliance) -> None:
    asleep = running.processes()
    epoch = running.status()["epoch"]
    for process in asleep:
        os.kill(process, signal.SIGSTOP)
    began = time.monotonic()
    try:
        wait_until(lambda: time.monotonic() - began > 3, 5, "it slept")
    finally:
        for process in asleep:
            os.kill(process, signal.SIGCONT)
    woken = time.monotonic()
    wait_until(lambda: running.status().get("state") == "listening", MOST_S, "it listens")
    answers_aloud(card, running)
    print(f"answered {time.monotonic() - woken:.1f} s after it woke")
    assert running.status()["epoch"] == epoch
    assert running.status()["lost_ms"] > 0
