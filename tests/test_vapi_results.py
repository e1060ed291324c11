"""Polling over HTTP with the call's token, a slow function from first to last answer, and the operator's view."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from device import cli
from device.functions.context import Context, Outcome
from device.functions.contract import FunctionResult, Refused, StillWorking, StoreFailed
from device.functions.registry import Registry
from device.functions.runner import Runner, context_factory
from device.web.results import Tokens, poll_path, result_route
from tests.test_vapi import ended, play, rig
from tests.vapi_rig import KEY, NOON, ControlServer, Rig, tool

TOKENS = Tokens(KEY)


class Scripted:
    """The runner's part of polling."""

    def __init__(self, **results: FunctionResult) -> None:
        self.results = results
        self.asked: list[str] = []

    async def look_up(self, id: str) -> FunctionResult | None:
        self.asked.append(id)
        return self.results.get(id.rsplit(":", 1)[1])


@asynccontextmanager
async def polling(runner: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[result_route(runner, TOKENS)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    socket = server.config.bind_socket()
    serving = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{socket.getsockname()[1]}") as client:
            yield client
    finally:
        server.should_exit = True
        await serving


def bearer(call: str = "c-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS.token(call)}"}


@pytest.mark.calls
def test_what_polling_answers() -> None:
    runner = Scripted(
        a=FunctionResult("", value={"id": 7}, sentence="Booked."),
        b=FunctionResult("", error=StillWorking("x")),
        c=FunctionResult("", error=Refused("closed", "We are closed."), sentence="We are closed."),
        d=FunctionResult("", error=StoreFailed()),
    )
    odd = "x/y z?#%"
    runner.results[odd] = runner.results["a"]

    async def scene() -> None:
        async with polling(runner) as client:
            done = await client.get(poll_path("c-1", "a"), headers=bearer())
            assert (done.status_code, done.json()) == (
                200,
                {"state": "done", "result": {"id": 7}, "sentence": "Booked."},
            )
            assert done.headers["cache-control"] == "no-store"
            working = await client.get(poll_path("c-1", "b"), params={"token": TOKENS.token("c-1")})
            assert (working.status_code, working.json()["state"]) == (202, "working")
            refused = (await client.get(poll_path("c-1", "c"), headers=bearer())).json()
            assert refused == {"state": "done", "error": {"code": "closed", "sentence": "We are closed."}}
            for id, status in (("d", 503), ("unknown", 404), (odd, 200)):
                assert (await client.get(poll_path("c-1", id), headers=bearer())).status_code == status
            assert runner.asked[-1] == f"vapi:c-1:{odd}"

    play(scene)


@pytest.mark.calls
def test_without_the_calls_own_token_nothing_is_told() -> None:
    runner = Scripted(a=FunctionResult("", value={}))
    wrong: list[dict[str, Any]] = [
        {},
        {"headers": bearer("c-2")},
        {"headers": {"Authorization": f"Basic {TOKENS.token('c-1')}"}},
        {"headers": {"Authorization": "Bearer"}},
        {"headers": {"Authorization": f"Bearer {TOKENS.token('c-1')[:-1]}"}},
        {"headers": [(b"Authorization", b"Bearer \xff\xfe")]},
        {"params": {"token": ""}},
        {"params": {"token": TOKENS.token("c-1").upper()}},
        {"params": {"token": "\u2603"}},
    ]

    async def scene() -> None:
        async with polling(runner) as client:
            for one in wrong:
                answer = await client.get(poll_path("c-1", "a"), **one)
                assert (answer.status_code, answer.json()) == (401, {"error": "token-invalid"}), one
            assert (await client.get(f"/calls/{'x' * 300}/results/a", headers=bearer())).status_code == 401
            assert (await client.post(poll_path("c-1", "a"), headers=bearer())).status_code == 405
            assert runner.asked == []

    play(scene)


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    first, second = Tokens.load(tmp_path / "state"), Tokens.load(tmp_path / "state")
    key = tmp_path / "state" / "poll.key"
    assert first.token("c-1") == second.token("c-1") != first.token("c-2")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["poll.key"]
    key.chmod(0o644)
    Tokens.load(key.parent)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.write_bytes(b"short")
    with pytest.raises(OSError, match=r"poll\.key"):
        Tokens.load(key.parent)


@pytest.mark.calls
def test_a_slow_function_from_the_first_answer_to_the_last(tmp_path: Path) -> None:
    """With the real runner: interim answer, poll, result at the control URL once, poll again, the same call again."""

    async def scene() -> None:
        may_end = asyncio.Event()

        async def slow(ctx: Context, arguments: Any) -> Outcome:
            await may_end.wait()
            return Outcome({"ready": True}, "Your table is ready.")

        with ControlServer() as far:
            one = Rig(tmp_path, object(), far=far.url)
            one.registry = Registry([_spec(slow)])
            one.runner = Runner(
                one.registry, one.store, context_factory(lambda: NOON, one.config.zone, one.config.book)
            )
            one.start()
            telling = asyncio.create_task(_tell(one))
            async with polling(one.runner) as client:
                control = f"{far.url}/c-1/control"
                got = (await one.tell("tool-calls", control=control, toolCallList=[tool("a", "slow")]))["results"][0]
                assert got["result"] == StillWorking.sentence
                assert got["metadata"]["token"] == TOKENS.token("c-1")
                where, headers = got["metadata"]["poll"], {"Authorization": f"Bearer {got['metadata']['token']}"}
                assert (await client.get(where, headers=headers)).status_code == 202
                may_end.set()
                assert "Your table is ready." in (await far.next())["message"]["content"]
                await one.endpoint.late.settle()
                done = await client.get(where, headers=headers)
                assert (done.status_code, done.json()["result"]) == (200, {"ready": True})
                again = (await one.tell("tool-calls", control=control, toolCallList=[tool("a", "slow")]))["results"][0]
                assert json.loads(again["result"]) == {"ready": True}
                assert len(far.requests) == 1
            telling.cancel()
            await one.runner.drain()
            await one.close()

    play(scene)


async def _tell(one: Rig) -> None:
    async for late in one.runner.late():
        one.endpoint.late.accept(late)


def _spec(handler: Any) -> Any:
    from device.functions.registry import FunctionSpec
    from device.functions.schema import Schema

    schema = Registry.load([]).get("getTime").schema
    assert isinstance(schema, Schema)
    return FunctionSpec("slow", "It takes long.", schema, handler, budget_s=0.05, is_async=True)


# -- wakeline sessions ----------------------------------------------------------------------------------------------
@pytest.fixture
def place(tmp_path: Path) -> Path:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            await one.tell("status-update", status="in-progress")
            ended(one)
            await one.tell("end-of-call-report", endedReason="=customer-ended-call")
            await one.tell("hang", call="c-2")

    play(scene)
    file = tmp_path / "wakeline.toml"
    file.write_text(f'timezone = "UTC"\n[paths]\nstate_dir = "{tmp_path}"\n')
    return file


def command(place: Path, *words: str) -> int:
    return cli.main(["--config", str(place), "sessions", *words])


def test_sessions_list_and_show(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(place, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert any("vapi:c-1" in line and "ended" in line and "2 events, 1 functions" in line for line in lines)
    assert command(place, "list", "--most", "1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    for id in ("c-1", "vapi:c-1"):
        assert command(place, "show", id) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in ("status-update", "in-progress", "book", "done", '{"id": 7}'))
    assert command(place, "show", "nobody") == 1
    assert "session-unknown" in capsys.readouterr().err


def test_sessions_export(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command(place, "export", "--format", "json") == 0
    found = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert [event["kind"] for event in found["vapi:c-1"]["events"]] == ["status-update", "end-of-call-report"]
    assert found["vapi:c-1"]["functions"][0]["value"] == {"id": 7}
    assert found["vapi:c-2"]["ended"] is None
    out = tmp_path / "out.csv"
    assert command(place, "export", "--out", str(out)) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(row["session"], row["row"]) for row in rows if row["session"] == "vapi:c-1"] == [
        ("vapi:c-1", "event"),
        ("vapi:c-1", "event"),
        ("vapi:c-1", "function"),
    ]
    report = next(row for row in rows if row["kind"] == "end-of-call-report")
    assert report["detail"].startswith("'="), "no formula"


def test_no_calls_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wakeline.toml"
    file.write_text(f'[paths]\nstate_dir = "{tmp_path}"\n')
    assert command(file, "list") == 0
    assert "no calls yet" in capsys.readouterr().err
