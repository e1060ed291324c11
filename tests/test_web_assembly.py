"""Which ports and routes there are, who may look at the private one, and who is told late results."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from device.app import House, build
from device.config import Config, ConfigError
from device.functions.contract import FunctionCall, FunctionResult, LateResult, StoreFailed
from device.functions.store import RecordedCall, Store
from device.secrets import Secrets
from device.settings import HmacSection, PathsSection, TwilioSection, WebSection
from device.web.assembly import Web, WebParts, build_web, public_port
from device.web.private import web_token
from device.webhook_sign import sign_twilio, sign_vapi

pytestmark = pytest.mark.calls

VAPI = {"VAPI_SERVER_SECRET": "one two"}
TWILIO = {"TWILIO_AUTH_TOKEN": "12345"}
BASE = "https://edge.example.org"
CALL = b'{"message":{"type":"tool-calls","call":{"id":"c-1"},"toolCallList":[{"id":"t-1","name":"getTime"}]}}'


def config(folder: Path, **web: Any) -> Config:
    given = {"port": 0, "private_port": 0, "base_url": BASE} | web
    return Config(
        timezone="UTC",
        web=WebSection(**given),
        twilio=TwilioSection(),
        paths=PathsSection(state_dir=folder, runtime_dir=folder),
    )


def parts(house: House, hears: bool = True) -> WebParts:
    return WebParts(house.store, house.runner, house.registry, house.clock, house.trusted, lambda: hears)


@asynccontextmanager
async def running(folder: Path, environ: dict[str, str], *, hears: bool = True) -> AsyncIterator[tuple[Web, House]]:
    settings = config(folder)
    secrets = Secrets(environ, folder / "none")
    house = build(settings, secrets)
    web = build_web(settings, secrets, parts(house, hears))
    assert web is not None
    await web.start()
    try:
        yield web, house
    finally:
        await web.stop()
        await web.close()
        await house.close()


async def ask(port: int, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        return await http.request("GET" if body is None else "POST", path, headers=headers, content=body)


def signed(body: bytes, secret: str = "two") -> dict[str, str]:
    return sign_vapi(body, secret, "hmac", HmacSection(), datetime.now(UTC))


def posted(path: str, fields: dict[str, str]) -> dict[str, str]:
    return sign_twilio(BASE + path, fields, "12345") | {"content-type": "application/x-www-form-urlencoded"}


def test_without_a_secret_the_public_port_is_closed(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path, {}) as (web, _):
            assert web.public is None
            assert web.private.port

    asyncio.run(work())


@pytest.mark.parametrize(
    ("environ", "vapi", "twilio"), [(VAPI, 200, 404), (TWILIO, 404, 200), (VAPI | TWILIO, 200, 200)]
)
def test_without_its_secret_a_webhook_does_not_exist(
    tmp_path: Path, environ: dict[str, str], vapi: int, twilio: int
) -> None:
    form = {
        "CallSid": "CA1",
        "AccountSid": "AC1",
        "From": "+12025550143",
        "To": "+12025550100",
        "CallStatus": "ringing",
    }
    body = str(httpx.QueryParams(form)).encode()

    async def work() -> None:
        async with running(tmp_path, environ) as (web, _):
            assert web.public is not None
            port = web.public.port
            assert (await ask(port, "/webhook/vapi", signed(CALL), CALL)).status_code == vapi
            voice = "/webhook/twilio/voice"
            answer = await ask(port, voice, posted(voice, form), body)
            assert answer.status_code == twilio
            assert ("<Response>" in answer.text) == (twilio == 200)
            assert (await ask(port, voice, None, body)).status_code == (401 if twilio == 200 else 404)
            health = (await ask(port, "/health")).json()
            assert set(health) == {"status", "activeCalls", "uptimeSeconds"}
            assert health["activeCalls"] == (vapi == 200)
            for path in ("/ready", "/metrics", "/", "/calls", "/calls/c-1/results"):
                assert (await ask(port, path)).status_code == 404
            assert (await ask(port, "/calls/c-1/results/t-1")).status_code == (401 if vapi == 200 else 404)

    asyncio.run(work())


def test_who_may_look_at_the_private_port(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(tmp_path, {}) as (web, _):
            port = web.private.port
            good = {"authorization": f"Bearer {web_token(tmp_path)}"}
            assert (await ask(port, "/ready", good)).json() == {"ready": True, "store": True, "ears": True}
            assert (await ask(port, "/health", good)).json()["status"] == "ok"
            assert (await ask(port, "/ready", good | {"origin": f"http://localhost:{port}"})).status_code == 200
            assert (await ask(port, "/webhook/vapi", good, CALL)).status_code == 404
            assert (await ask(port, "/ready", good, b"")).status_code == 405
            for headers, status in (
                ({}, 401),
                ({"authorization": "Bearer"}, 401),
                ({"authorization": good["authorization"] + "x"}, 401),
                (good | {"host": "evil.example"}, 403),
                (good | {"host": f"127.0.0.1.evil.example:{port}"}, 403),
                (good | {"host": ""}, 403),
                (good | {"host": "["}, 403),
                (good | {"origin": "https://evil.example"}, 403),
                (good | {"origin": "null"}, 403),
            ):
                answer = await ask(port, "/ready", headers)
                assert answer.status_code == status, headers
                assert set(answer.json()) == {"error"}

    asyncio.run(work())


@pytest.mark.parametrize("broken", ["store", "ears"])
def test_it_is_not_ready_without(tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with running(tmp_path, {}, hears=broken != "ears") as (web, house):
            if broken == "store":
                failing: Future[None] = Future()
                failing.set_exception(StoreFailed("the disk is full"))
                monkeypatch.setattr(house.store, "submit", lambda work, *, urgent=False: failing)
            answer = await ask(web.private.port, "/ready", {"authorization": f"Bearer {web_token(tmp_path)}"})
            assert answer.status_code == 503
            assert answer.json() == {"ready": False, "store": True, "ears": True} | {broken: False}

    asyncio.run(work())


def test_the_token_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    token = web_token(tmp_path / "state")
    file = tmp_path / "state" / "web-token"
    assert len(token) > 30
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    os.chmod(file, 0o644)
    assert web_token(tmp_path / "state") == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("\n")
    assert web_token(tmp_path / "state") not in ("", token)


def test_port_and_proxies_are_checked(tmp_path: Path) -> None:
    def port(value: str) -> int:
        return public_port(config(tmp_path, port=3000), Secrets({"PORT": value}, tmp_path / "none"))

    assert (port(""), port("8080")) == (3000, 8080)
    for wrong in ("http", "-1", "65536", "3000.0", "\u0663"):
        with pytest.raises(ConfigError, match="PORT"):
            port(wrong)

    async def work() -> None:
        house = build(config(tmp_path), Secrets({}, tmp_path / "none"))
        with pytest.raises(ConfigError, match="trusted_proxies"):
            build_web(config(tmp_path, trusted_proxies=("localhost",)), Secrets({}, tmp_path / "none"), parts(house))
        assert build_web(config(tmp_path, enabled=False), Secrets(VAPI, tmp_path / "none"), parts(house)) is None
        await house.close()

    asyncio.run(work())


def test_a_late_result_is_told_in_the_room_until_it_was_heard(tmp_path: Path) -> None:
    """New ears are told again, once; after it was heard it is delivered."""
    from audio.events import NoticeDecided, ReplyFinished

    settings = config(tmp_path)
    call = FunctionCall("turn-1:slowOne", "slowOne", {}, "voice", "voice")

    async def work() -> None:
        house = build(settings, Secrets({}, tmp_path / "none"))
        record(house.store, call)
        notice = house.appliance.late(LateResult(call, FunctionResult(call.id, value={}, sentence="It is done.")))
        assert (notice.reply, notice.text) == (call.id, "It is done.")
        again = [event for event in house.appliance.seed() if isinstance(event, NoticeDecided)]
        assert again == [notice]
        with house.store.reading() as reading:
            assert [waiting.id for waiting in reading.undelivered()] == [call.id]
        house.appliance.observe(ReplyFinished(turn=1, reply=call.id, heard="It is done."))
        assert not [event for event in house.appliance.seed() if isinstance(event, NoticeDecided)]
        with house.store.reading() as reading:
            assert not reading.undelivered()
        await house.close()

    asyncio.run(work())


def record(store: Store, call: FunctionCall) -> None:
    """As the runner does: running, then done, and to be heard."""
    running = RecordedCall(
        call.id, call.name, {}, call.origin, call.session, "running", None, "", "", datetime.now(UTC)
    )
    with store.transaction() as writing:
        writing.record_function_call(running)
    with store.transaction() as writing:
        writing.record_function_call(replace(running, state="done", value={}, sentence="It is done."))
        writing.add_unheard(call.id, "It is done.", datetime.now(UTC))
