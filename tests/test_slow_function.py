"""A slow function in a call, by the real door: answered inside its budget, told once later, over a kill too."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from device.config import load_config
from device.functions.contract import StillWorking
from tests.house_rig import configure, opened, recorded
from tests.live_rig import ROOT, WAKELINE, appliance
from tests.offline_commands import Home
from tests.slow_rig import Gate, gate
from tests.test_service_processes import no_card
from tests.test_service_web import SECRET, post, public_port
from tests.vapi_rig import ControlServer
from tests.virtual_card import wait_until

CALL = "c-slow"


def message(kind: str, control: str = "", **fields: Any) -> bytes:
    about: dict[str, Any] = {"id": CALL} | ({"monitor": {"controlUrl": control}} if control else {})
    return json.dumps({"message": {"type": kind, "call": about, **fields}}).encode()


def wish(control: str) -> bytes:
    return message("tool-calls", control, toolCallList=[{"id": "t-1", "name": "slowBooking", "arguments": {}}])


def interim(answer: bytes) -> dict[str, str]:
    (result,) = json.loads(answer)["results"]
    assert result["result"] == StillWorking.sentence
    return dict(result["metadata"])


@pytest.mark.calls
def test_answered_within_its_budget_and_told_once_later(tmp_path: Path) -> None:
    async def scene(held: Gate, far: ControlServer) -> None:
        place = f'[vapi]\nbase_url = "{far.url}"\n'
        async with opened(load_config(configure(tmp_path, place))) as door:
            control = f"{far.url}/{CALL}/control"
            answer = await door.raw(wish(control))
            handle = interim(answer.content)
            assert answer.elapsed.total_seconds() < 4, "it goes on for as long as we want"
            by_token = {"Authorization": f"Bearer {handle['token']}"}
            assert (await door.http.get(handle["poll"], headers=by_token)).status_code == 202
            assert (await door.http.get(handle["poll"])).status_code == 401
            run = await asyncio.to_thread(held.begun)
            # Meanwhile the call is served: reads, notices and other effects of it.
            assert "result" in await door.tool("getTime", {}, "t-2", call=CALL)
            assert far.requests == []
            run.close()
            told = await far.next()
            assert (told["type"], told["triggerResponseEnabled"]) == ("add-message", True)
            assert "Your table is ready." in told["message"]["content"]
            assert door.web.vapi is not None
            await door.web.vapi.late.settle()
            done = await door.http.get(handle["poll"], headers=by_token)
            assert (done.status_code, done.json()["result"]) == (200, {"table": 7})
            for again in (wish(control), wish(control) + b" ", message("hang", control)):
                assert (await door.raw(again)).status_code == 200
            await door.web.vapi.late.settle()
            assert len(far.requests) == 1
            assert held.runs == 1
            with door.house.store.reading() as store:
                assert len(store.appointments()) == 1
                assert store.undelivered() == []

    async def whole() -> None:
        with gate() as held, ControlServer() as far:
            held.write_function(tmp_path / "functions")
            await scene(held, far)

    asyncio.run(whole())
    assert [call.state for call in recorded(tmp_path)] == ["done", "done"]


@pytest.mark.service
@pytest.mark.parametrize("ends", ["before the next start", "after it"])
def test_told_once_although_it_was_killed_in_between(tmp_path: Path, ends: str) -> None:
    """Killed while it works, and again when it is done and the call was not told: the call is told once, polled at
    any time, and the table is booked once."""

    async def whole() -> None:
        with gate() as held, ControlServer() as far:
            held.write_function(tmp_path / "a" / "functions")
            await asyncio.to_thread(scene, held, far)

    def scene(held: Gate, far: ControlServer) -> None:
        environment = no_card(tmp_path) | {"VAPI_SERVER_SECRET": SECRET, "PORT": ""}
        given = {
            "web__port": "0",
            "vapi__base_url": far.url,
            "paths__extensions": str(tmp_path / "a" / "functions"),
        }
        control = f"{far.url}/{CALL}/control"
        with appliance(tmp_path / "a", environment, **given) as running:
            status, first = post(public_port(running), wish(control))
            assert status == 200
            handle = interim(first)
            run = held.begun()
            if ends == "before the next start":
                # Done and recorded; nobody was told, since the call could not be reached.
                far.statuses[:] = [503] * 3
                run.close()
                wait_until(lambda: len(far.requests) == 3, 20, "it was tried")
            running.end(signal.SIGKILL)
        before = len(far.requests)
        with appliance(tmp_path / "a", environment, **given) as running:
            port = public_port(running, len(running.output))
            if ends == "after it":
                assert polled(port, handle)[0] == 202
                held.begun().close()
            wait_until(lambda: polled(port, handle)[0] == 200, 20, "it ended")
            assert polled(port, handle)[1]["result"] == {"table": 7}
            assert len(far.requests) == before, "where the call is, is not known after a start"
            for _ in range(2):
                assert post(port, message("speech-update", control, role="user", status="started"))[0] == 200
                wait_until(lambda: len(far.requests) > before, 20, "the call is told")
            assert post(port, wish(control)) == (200, first), "answered from the record"
            assert post(port, message("hang", control))[0] == 200
            assert len(running.appointments()) == 1
            assert running.end() == 0
        assert len(far.requests) == before + 1
        assert "Your table is ready." in far.requests[-1].body.decode()
        assert held.runs == (2 if ends == "after it" else 1)

    asyncio.run(whole())


@pytest.mark.service
def test_a_command_that_was_killed_is_told_by_the_next_one_of_its_session(tmp_path: Path) -> None:
    """`wakeline ask --session` has nobody to tell after it was killed: the next turn of the session does."""
    file = configure(tmp_path)
    home = Home(tmp_path)
    environment = no_card(tmp_path) | {"PYTHONPATH": str(ROOT)}

    def ask(*texts: str) -> list[str]:
        return home.here("--config", str(file), "ask", "--session", "desk", *texts).said

    async def finish(held: Gate) -> None:
        async with opened(load_config(file)):
            (await asyncio.to_thread(held.begun)).close()
            async with asyncio.timeout(20):
                while state(tmp_path) == ["running"]:
                    await asyncio.sleep(0)

    with gate() as held, mock.patch("sys.stdin", io.StringIO()):
        held.write_function(tmp_path / "functions")
        (tmp_path / "functions" / "slow.yaml").write_text("intents: {slowBooking: {sentences: [look for a table]}}")
        command = [*WAKELINE, "--config", str(file), "ask", "--session", "desk", "look for a table"]
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as process:
            run = held.begun()
            wait_until(lambda: state(tmp_path) == ["running"], 20, "it is recorded")
            process.kill()
        run.close()
        asyncio.run(finish(held))
        told, time = ask("what time is it")
        assert told == "Your table is ready."
        assert time.startswith("It's ")
        assert len(ask("what time is it")) == 1, "told once"


def state(folder: Path) -> list[str]:
    return [call.state for call in recorded(folder) if call.name == "slowBooking"]


def polled(port: int, handle: dict[str, str]) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{handle['poll']}", headers={"Authorization": f"Bearer {handle['token']}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, None
