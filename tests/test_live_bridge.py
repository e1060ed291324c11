"""The wire to the ears seen from the app, with a child that is no ears at all: silence, nonsense, chatter, an end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from audio.wire import EarsConfig, Heartbeat, Message
from device import bridge
from device.bridge import EarsProcess

pytestmark = pytest.mark.service
PRELUDE = """
import argparse, os, socket, subprocess, sys, threading
from audio.wire import Heartbeat, encode, receive_all
parser = argparse.ArgumentParser()
parser.add_argument("--fd", type=int)
parser.add_argument("--parent", type=int)
sock = socket.socket(fileno=parser.parse_args().fd)
messages = receive_all(sock)
next(messages)
beat = lambda: sock.sendall(encode(Heartbeat()))
"""


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Awaitable[EarsProcess]]:
    """Start this script instead of the ears."""

    async def start(script: str) -> EarsProcess:
        (tmp_path / "ears.py").write_text(PRELUDE + script)
        (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/ears.py "$4" "$5" "$6" "$7"\n')
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        return await EarsProcess.start(EarsConfig(epoch=1))

    return start


async def heard(ears: EarsProcess) -> list[Message]:
    return [message async for message in ears.messages()]


def test_silence_is_an_end_and_the_process_is_killed(child: Callable[[str], Awaitable[EarsProcess]]) -> None:
    async def run() -> None:
        ears = await child("beat(); threading.Event().wait()")
        began = time.monotonic()
        assert await heard(ears) == [Heartbeat()]
        assert bridge.SILENCE_S <= time.monotonic() - began < bridge.SILENCE_S + 1.5
        assert await ears.reap() == -9

    asyncio.run(run())


def test_a_loop_that_was_held_up_does_not_blame_the_ears(child: Callable[[str], Awaitable[EarsProcess]]) -> None:
    async def run() -> None:
        ears = await child("while True: beat(); threading.Event().wait(0.1)")
        messages = ears.messages()
        await anext(messages)
        until = time.monotonic() + bridge.SILENCE_S + 0.5
        while time.monotonic() < until:  # as a store on a slow card would
            pass
        for _ in range(3):
            assert await anext(messages) == Heartbeat()
        await ears.reap()

    asyncio.run(run())


def test_nonsense_is_an_end(child: Callable[[str], Awaitable[EarsProcess]]) -> None:
    async def run() -> None:
        ears = await child("beat(); sock.sendall(b'\\xff' * 64); threading.Event().wait()")
        assert await heard(ears) == [Heartbeat()]
        assert await ears.reap() == -9

    asyncio.run(run())


def test_a_flood_on_stderr_and_one_who_keeps_it_open(
    child: Callable[[str], Awaitable[EarsProcess]], caplog: pytest.LogCaptureFixture
) -> None:
    script = """
sys.stderr.write("x" * 300_000); sys.stderr.write("\\nWARNING wakeline.audio.pump: sound card: no-input\\n")
sys.stderr.flush()
subprocess.Popen(["sleep", "3"])  # keeps our stderr
beat()
"""

    async def run() -> None:
        ears = await child(script)
        async with asyncio.timeout(10):
            assert await heard(ears) == [Heartbeat()]
            began = time.monotonic()
            assert await ears.reap() == 0
            assert time.monotonic() - began < 2
            await ears._complaints

    asyncio.run(run())
    assert "no-input" in caplog.text
    assert "xxx" not in caplog.text
