"""The tutorial that the appliance comes from: its payloads, signature, backend and environment, unchanged."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from device.calls.link import CallRequest, Destination
from device.config import load_config
from device.secrets import NAMES, Secrets
from device.webhook_sign import sign_twilio
from tests.backend_rig import Backend, backend, says
from tests.doubles.loopback import Loopback, Reply, Request
from tests.doubles.twilio import ACCOUNT, FROM, TO, TOKEN, FakeTwilio
from tests.house_rig import SECRET, VAPI, Door, configure, opened, recorded

pytestmark = pytest.mark.calls

DAY = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
FUNCTIONS = """
[functions.checkAvailability]
path = "/availability"
result = { available = "isAvailable", nextSlots = "nextSlot" }
[functions.scheduleAppointment]
path = "/appointments"
"""


@pytest.fixture
def far() -> Iterator[Backend]:
    with backend() as double:
        yield double


def function_call(name: str, parameters: dict[str, Any]) -> bytes:
    """As its server got it; without an id."""
    call = {"id": "c-1", "assistantId": "as-1"}
    function = {"name": name, "parameters": parameters}
    return json.dumps({"message": {"type": "function-call", "call": call, "functionCall": function}}).encode()


async def sent(door: Door, body: bytes) -> httpx.Response:
    """Signed as its server checks it: hex HMAC-SHA256 of the raw body."""
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-vapi-signature": signature, "content-type": "application/json"}
    return await door.http.post(VAPI, content=body, headers=headers)


def test_its_functions_by_its_backend(tmp_path: Path, far: Backend) -> None:
    config = load_config(configure(tmp_path, FUNCTIONS))
    far.will(
        says({"isAvailable": False, "nextSlot": f"{DAY} 20:00"}),
        says({"isAvailable": True, "nextSlot": None}),
        says({"confirmation": "A-17"}),
    )

    async def scene() -> None:
        async with opened(config, {"BACKEND_URL": far.url}) as door:
            at_seven, at_eight = ({"date": DAY, "time": time} for time in ("19:00", "20:00"))
            taken = await sent(door, function_call("checkAvailability", at_seven))
            assert (taken.status_code, taken.json()) == (
                200,
                {"result": {"available": False, "nextSlots": [f"{DAY} 20:00"]}},
            )
            free = await sent(door, function_call("checkAvailability", at_eight))
            assert free.json() == {"result": {"available": True, "nextSlots": []}}
            body = function_call("scheduleAppointment", at_eight | {"people": 4, "name": "Ann"})
            booked = [(await sent(door, body)).json() for _ in range(2)]
            assert booked == [{"result": {"confirmation": "A-17"}}] * 2, "sent again it is answered again"

    asyncio.run(scene())
    assert [(asked.method, asked.path) for asked in far.asked] == [
        ("POST", "/availability"),
        ("POST", "/availability"),
        ("POST", "/appointments"),
    ]
    assert far.asked[0].json == {"date": DAY, "time": "19:00"}
    assert far.asked[2].json == {"date": DAY, "time": "20:00", "people": 4, "name": "Ann"}
    assert far.asked[2].headers["idempotency-key"] == recorded(tmp_path)[-1].id


def test_its_backend_fails(tmp_path: Path, far: Backend) -> None:
    """The caller gets a sentence, in the form of an answer, and the call goes on."""
    config = load_config(configure(tmp_path, FUNCTIONS))
    far.will(says({"error": "boom"}, 404))

    async def scene() -> None:
        async with opened(config, {"BACKEND_URL": far.url}) as door:
            answer = await sent(door, function_call("checkAvailability", {"date": DAY, "time": "19:00"}))
            assert answer.status_code == 200
            assert isinstance(answer.json()["result"], str)
            assert answer.json()["result"].strip()

    asyncio.run(scene())


def test_its_schedule_appointment_without_a_backend(tmp_path: Path) -> None:
    """By our own book; an unsigned or wrongly signed request is turned away before it is read."""
    config = load_config(configure(tmp_path))

    async def scene() -> None:
        async with opened(config) as door:
            body = function_call("scheduleAppointment", {"date": DAY, "time": "19:00"})
            for headers in ({}, {"x-vapi-signature": "0" * 64}, {"x-vapi-signature": "zz"}):
                assert (await door.http.post(VAPI, content=body, headers=headers)).status_code == 401
            answer = (await sent(door, body)).json()
            assert (answer["result"]["date"], answer["result"]["time"]) == (DAY, "19:00")
            after = (await sent(door, function_call("checkAvailability", {"date": DAY, "time": "19:00"}))).json()
            assert after["result"]["available"] is False

    asyncio.run(scene())
    assert [call.name for call in recorded(tmp_path)] == ["bookAppointment", "checkAvailability"]


# -- its environment --------------------------------------------------------------------------------------------
HANDED_OVER = '<Response><Connect><Stream url="wss://v.example.org/s"/></Connect></Response>'
BASE = "https://edge.example.org"


class FakeBypass(Loopback):
    """Vapi, when a call is handed over to it."""

    def answer(self, request: Request) -> Reply:
        return Reply(201, {"id": "c-9", "phoneCallProviderDetails": {"twiml": HANDED_OVER}})


def everything(port: int, backend_url: str) -> dict[str, str]:
    return {
        "VAPI_API_KEY": "key-1",
        "VAPI_SERVER_SECRET": SECRET,
        "VAPI_WEBHOOK_SECRET": "another",
        "VAPI_ASSISTANT_ID": "as-env",
        "VAPI_PHONE_NUMBER_ID": "pn-env",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_NUMBER": FROM,
        "BACKEND_URL": backend_url,
        "PORT": str(port),
    }


def laid_down(where: str, values: dict[str, str], folder: Path) -> Secrets:
    """The values in the environment, in a .env file, or as systemd lays credentials."""
    if where == "environment":
        return Secrets(values, folder / "none")
    if where == ".env":
        (folder / ".env").write_text("# secrets\n" + "".join(f'export {k}="{v}"\n' for k, v in values.items()))
        return Secrets({}, folder / ".env")
    place = folder / "credentials"
    place.mkdir()
    for name, value in values.items():
        (place / f"credentials_{name.lower()}").write_text(value + "\n")
    return Secrets({"CREDENTIALS_DIRECTORY": str(place)}, folder / "none")


@pytest.mark.parametrize("where", ["environment", ".env", "credentials"])
def test_every_name_of_its_environment_does_its_work(tmp_path: Path, far: Backend, where: str) -> None:
    far.will(says({"isAvailable": True, "nextSlot": None}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    values = everything(port, far.url)
    assert set(values) == set(NAMES), "a new name has no test"
    secrets = laid_down(where, values, tmp_path)

    async def scene(vapi: FakeBypass, twilio: FakeTwilio) -> None:
        place = f'[twilio]\nbase_url = "{twilio.url}"\ninbound = "vapi"\n[vapi]\nbase_url = "{vapi.url}"\n'
        text = configure(tmp_path, FUNCTIONS + place).read_text().replace("[web]", f'[web]\nbase_url = "{BASE}"')
        (tmp_path / "wakeline.toml").write_text(text)
        async with opened(load_config(tmp_path / "wakeline.toml"), secrets=secrets) as door:
            assert door.web.public is not None
            assert door.web.public.port == port
            for secret in (SECRET, "another"):
                asked = {"type": "assistant-request", "nonce": secret}
                answer = await Door(door.http, door.house, door.web, secret).post(asked)
                assert answer.json() == {"assistantId": "as-env"}
            got = await door.tool("checkAvailability", {"date": DAY, "time": "19:00"})
            assert json.loads(got["result"])["available"] is True
            assert len(far.asked) == 1
            await called_in(door)
            desk = Destination("desk", "twilio", TO)
            await door.house.links["twilio"].place(CallRequest("w-1", desk, "a test"))

    with FakeBypass() as vapi, FakeTwilio() as twilio:
        asyncio.run(scene(vapi, twilio))
        (handed,) = vapi.requests
        assert handed.headers["authorization"] == "Bearer key-1"
        told = json.loads(handed.body)
        assert (told["assistantId"], told["phoneNumberId"]) == ("as-env", "pn-env")
        assert [call["From"] for call in twilio.creations] == [FROM], "account, token and number are right"


async def called_in(door: Door) -> None:
    """A call to our number, signed by Twilio's token, is handed over to the assistant."""
    form = {"CallSid": "CA" + "1" * 32, "CallStatus": "ringing", "From": "+12025550177", "To": "+12025550100"}
    path = "/webhook/twilio/voice"
    answer = await door.http.post(path, data=form, headers=sign_twilio(BASE + path, form, TOKEN))
    assert answer.status_code == 200
    assert ElementTree.fromstring(answer.text).find("Connect/Stream") is not None
