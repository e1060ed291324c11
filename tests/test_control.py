"""The control socket: requests and replies, a stale socket, a second instance, limits and deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from device import control
from device.control import ControlError, ControlServer, Message, send


async def echo(request: Message) -> Message:
    if request.get("command") == "fail":
        raise ControlError("mic-muted", "the microphone is muted: run `wakeline unmute`")
    if request.get("command") == "break":
        raise ZeroDivisionError
    return {"echo": request}


@contextlib.asynccontextmanager
async def serving(
    path: Path, handler: Callable[[Message], Awaitable[Message]] = echo, **more: Any
) -> AsyncIterator[Path]:
    async with ControlServer(path, handler, **more):
        yield path


async def ask(path: Path, request: Message, timeout: float = 5.0) -> Message:
    return await asyncio.to_thread(send, path, request, timeout)


async def code_of(path: Path, request: Message, timeout: float = 5.0) -> str:
    with pytest.raises(ControlError) as caught:
        await ask(path, request, timeout)
    return caught.value.code


def run(story: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story

    asyncio.run(bounded())


def test_request_and_reply(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path / "run" / "control.sock") as path:
            assert path.stat().st_mode & 0o777 == 0o600
            assert await ask(path, {"command": "say", "text": "grüß dich"}) == {
                "echo": {"command": "say", "text": "grüß dich"}
            }
        assert not path.exists()

    run(story())


def test_errors_keep_their_code_and_say_what_to_do(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path / "c") as path:
            with pytest.raises(ControlError, match="wakeline unmute") as caught:
                await ask(path, {"command": "fail"})
            assert caught.value.code == "mic-muted"
            assert await code_of(path, {"command": "break"}) == "failed"
            assert await ask(path, {"still": "there"})
        assert await code_of(path, {}) == "not-running"

    run(story())


def test_not_running_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="start it with"):
        send(tmp_path / "none", {})


def test_a_stale_socket_is_replaced_and_a_second_instance_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # closed without unlinking: what a killed process leaves

    async def story() -> None:
        async with serving(path):
            with pytest.raises(ControlError) as caught:
                await ControlServer(path, echo).start()
            assert caught.value.code == "already-running"
            assert await ask(path, {"first": "lives"}), "the refused one broke nothing"

    run(story())


def test_the_mode_never_depends_on_the_umask(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path / "c") as path:
            assert path.stat().st_mode & 0o777 == 0o600

    before = os.umask(0)
    try:
        run(story())
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"hello\n", "bad-request"),
        (b"[1]\n", "bad-request"),
        (b'{"a":1}', "bad-request"),
        (b"x" * 200_000, "too-large"),
    ],
)
def test_nonsense_is_answered(tmp_path: Path, raw: bytes, code: str) -> None:
    async def story() -> None:
        async with serving(tmp_path / "c") as path:
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(raw)
            with contextlib.suppress(OSError):
                writer.write_eof()
                await writer.drain()
            answer = await reader.readline()
            assert f'"{code}"'.encode() in answer
            writer.close()
            assert await ask(path, {"still": "there"})

    run(story())


def test_deadlines_on_both_sides(tmp_path: Path) -> None:
    async def never(_: Message) -> Message:
        await asyncio.Event().wait()
        return {}

    async def story() -> None:
        async with serving(tmp_path / "a", never, answer_s=0.05) as path:
            assert await code_of(path, {}) == "timed-out"
        async with serving(tmp_path / "b", never) as path:
            assert await code_of(path, {}, timeout=0.05) == "timed-out"
        async with serving(tmp_path / "c", echo, read_s=0.05) as path:
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert b'"timed-out"' in await reader.readline(), "a silent client does not hold a place"
            writer.close()

    run(story())


def test_a_crowd_is_sent_away(tmp_path: Path) -> None:
    async def story() -> None:
        let_go, inside = asyncio.Event(), asyncio.Semaphore(0)

        async def slow(_: Message) -> Message:
            inside.release()
            await let_go.wait()
            return {}

        async with serving(tmp_path / "c", slow) as path:
            waiting = [asyncio.create_task(raw_ask(path)) for _ in range(control.MOST_AT_ONCE)]
            for _ in waiting:
                await inside.acquire()
            assert await code_of(path, {}) == "busy"
            let_go.set()
            assert await asyncio.gather(*waiting) == [b'{"result":{}}\n'] * control.MOST_AT_ONCE

    run(story())


async def raw_ask(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"{}\n")
    answer = await reader.readline()
    writer.close()
    return answer


def test_a_path_that_does_not_fit_is_refused_with_advice(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(ControlError, match="runtime_dir") as caught:
            await ControlServer(tmp_path / ("x" * 120), echo).start()
        assert caught.value.code == "path-invalid"

    run(story())
