"""`wakeline run` with webhooks, as processes: they come after the voice, survive it, and a restart answers the same."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device.settings import HmacSection
from device.webhook_sign import sign_vapi
from tests.live_rig import Appliance, appliance
from tests.test_service_processes import no_card
from tests.virtual_card import wait_until

pytestmark = pytest.mark.service

SECRET = "whsec-demo"


def booking(starts: str) -> bytes:
    arguments = {"date": starts[:10], "time": starts[11:], "name": "Ann", "people": 2}
    tool = {"id": "t-1", "name": "scheduleAppointment", "arguments": arguments}
    return json.dumps({"message": {"type": "tool-calls", "call": {"id": "c-1"}, "toolCallList": [tool]}}).encode()


def public_port(running: Appliance, after: int = 0) -> int:
    found: list[str] = []

    def look() -> bool:
        found[:] = re.findall(r"public port: listening on 127\.0\.0\.1:(\d+)", running.output[after:])
        return bool(found)

    wait_until(look, 40, "the public port is open")
    return int(found[-1])


def post(port: int, body: bytes, secret: str = SECRET) -> tuple[int, bytes]:
    headers = sign_vapi(body, secret, "hmac", HmacSection(), datetime.now(UTC))
    request = urllib.request.Request(f"http://127.0.0.1:{port}/webhook/vapi", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_booking_by_webhook_is_there_once_over_a_kill(tmp_path: Path) -> None:
    environment = no_card(tmp_path) | {"VAPI_SERVER_SECRET": SECRET, "PORT": ""}
    body = booking(f"{datetime.now(UTC).year + 1}-03-03 18:00")
    with appliance(tmp_path / "a", environment, web__port="0", book__max_days_ahead="600") as running:
        running.wait_for("EarsReady")
        port = public_port(running)
        assert post(port, body, "wrong") == (401, b'{"error": "signature-wrong"}')
        status, first = post(port, body)
        assert status == 200
        assert b"error" not in first, first
        running.end(signal.SIGKILL)
    with appliance(tmp_path / "a", environment, web__port="0", book__max_days_ahead="600") as running:
        assert post(public_port(running, len(running.output)), body) == (200, first)
        assert len(running.appointments()) == 1
        assert running.end() == 0
        assert "Traceback" not in running.output
        assert SECRET not in running.output


def test_a_taken_port_does_not_end_the_voice(tmp_path: Path) -> None:
    environment = no_card(tmp_path) | {"VAPI_SERVER_SECRET": SECRET, "PORT": ""}
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        appliance(tmp_path / "a", environment, web__port=str(other.getsockname()[1])) as running,
    ):
        running.wait_for("EarsReady")
        wait_until(lambda: "port-taken" in running.output, 20, "it says so")
        other.close()
        public_port(running)
        assert running.status()["ears"]
        assert running.end() == 0
