"""`wakeline run` as a tree of processes: it ends cleanly, leaves nothing behind, needs no sound card and no account."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest

from device import live
from device.app import build
from device.config import Config
from device.secrets import Secrets
from device.settings import PathsSection, WakeSection
from device.view import PlainView
from device.watchdog import Notifier
from tests.live_rig import Appliance, appliance
from tests.virtual_card import wait_until

pytestmark = pytest.mark.service


def no_card(folder: Path) -> dict[str, str]:
    """Where nothing answers as a sound server, and no account is known."""
    folder.mkdir(parents=True, exist_ok=True)
    vendors = ("VAPI_", "TWILIO_", "PULSE_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(vendors)}
    return {**kept, "HOME": str(folder), "PULSE_SERVER": f"unix:{folder}/nothing"}


def ready(running: Appliance) -> None:
    """The engines are loaded, Piper runs in its child."""
    running.wait_for("EarsReady")
    wait_until(lambda: len(running.processes()) == 3, 5, "app, ears, voice")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked_and_leaves_no_process(tmp_path: Path, number: int) -> None:
    with appliance(tmp_path / "a", no_card(tmp_path), tts__engine="piper") as running:
        ready(running)
        assert running.end(number) == 0
        wait_until(lambda: not running.left_over(), 2, f"all are gone: {running.left_over()}")
        assert "Traceback" not in running.output
        assert not list((running.folder / "run").glob("control"))


def test_it_ends_also_while_the_ears_are_starting(tmp_path: Path) -> None:
    with appliance(tmp_path / "a", no_card(tmp_path)) as running:
        assert running.ears
        assert running.end() == 0
        wait_until(lambda: not running.left_over(), 2, f"all are gone: {running.left_over()}")


def test_a_killed_app_takes_its_ears_and_their_voice_with_it(tmp_path: Path) -> None:
    with appliance(tmp_path / "a", no_card(tmp_path), tts__engine="piper") as running:
        ready(running)
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: not running.left_over(), 2, f"all are gone: {running.left_over()}")


def test_killed_ears_take_their_voice_with_them_and_new_ones_come(tmp_path: Path) -> None:
    with appliance(tmp_path / "a", no_card(tmp_path), tts__engine="piper") as running:
        ready(running)
        _, ears, voice = running.processes()
        os.kill(ears, signal.SIGKILL)
        running.wait_for("EarsReady", after=running.mark)
        new = running.processes()
        assert not {ears, voice} & set(new)
        assert len(new) == 3


def test_a_second_one_is_refused(tmp_path: Path) -> None:
    with appliance(tmp_path / "a", no_card(tmp_path)) as running:
        running.wait_for("EarsStarted")
        with appliance(tmp_path / "a", no_card(tmp_path)) as second:
            assert second.process.wait(20) == 2
            assert "already-running" in second.output
        assert running.status()["ears"]


@pytest.mark.parametrize("hopeless", [True, False])
def test_ears_that_never_come_up_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hopeless: bool
) -> None:
    """So the service manager sees it, and tries again with its own patience; for want of a model at once."""
    monkeypatch.setattr(live, "_BACK_OFF_S", (0.0,))
    if not hopeless:
        monkeypatch.setattr(live, "HOPELESS", frozenset())
    config = Config(
        wake=WakeSection(words=("no_such_word",)), paths=PathsSection(state_dir=tmp_path, runtime_dir=tmp_path)
    )
    printed = io.StringIO()

    async def run() -> int:
        house = build(config, Secrets())
        try:
            return await live.Live(config, PlainView(printed), None, Notifier()).run(house)
        finally:
            await house.close()

    assert asyncio.run(run()) == (live.EXIT_FAULT if hopeless else 1)
    assert printed.getvalue().count("engine: start") == (1 if hopeless else live.MOST_FAILURES)
