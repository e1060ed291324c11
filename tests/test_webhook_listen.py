"""`wakeline webhook listen` as a process: what it prints about authentic and forged requests, and what it does not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from device.settings import HmacSection
from device.web.twiml import is_twiml
from device.webhook_listen import describe
from device.webhook_sign import sign_twilio, sign_vapi

ROOT = Path(__file__).parent.parent
BASE = "https://edge.example.org"
TOOLS = (
    b'{"message":{"type":"tool-calls","call":{"id":"c-1"},"toolCallList":['
    b'{"id":"t-1","type":"function","function":{"name":"checkAvailability","arguments":{}}}]}}'
)
SAID = b'{"message":{"type":"transcript","role":"user","transcript":"my secret illness"}}'


class Listening:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self._out = process.stdout
        found = re.search(r"http://\S+:\d+", self._out.readline())
        assert found
        self.url = found[0]
        while "Point a tunnel" not in self._out.readline():
            pass

    def vapi(self, body: bytes, secret: str = "whsec-demo") -> httpx.Response:
        headers = sign_vapi(body, secret, "hmac", HmacSection(), datetime.now(UTC))
        return self.post("/webhook/vapi", body, headers)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return httpx.post(self.url + path, content=body, headers=headers, trust_env=False, timeout=20)

    def line(self) -> str:
        return self._out.readline()

    def end(self) -> tuple[int, str]:
        self._process.send_signal(signal.SIGINT)
        rest, _ = self._process.communicate(timeout=20)
        return self._process.returncode, rest


@pytest.fixture(params=[()], ids=["quiet"])
def listening(request: Any, tmp_path: Path) -> Iterator[Listening]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WAKELINE_")}
    environ |= {
        "VAPI_SERVER_SECRET": "whsec-demo",
        "TWILIO_AUTH_TOKEN": "12345",
        "WAKELINE_WEB__BASE_URL": BASE,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "device.cli", "webhook", "listen", "--port", "0", *request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environ) as process:
        try:
            yield Listening(process)
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.service
def test_what_arrives_is_printed_with_its_verdict(listening: Listening) -> None:
    answer = listening.vapi(TOOLS)
    assert answer.json()["results"][0]["toolCallId"] == "t-1"
    assert re.search(r"ok +/webhook/vapi +tool-calls call=c-1 checkAvailability\(t-1\)", listening.line())

    assert listening.vapi(SAID).status_code == 200
    line = listening.line()
    assert "transcript role=user" in line
    assert "illness" not in line

    assert listening.vapi(SAID, "other").status_code == 401
    line = listening.line()
    assert re.search(r"REFUSED +/webhook/vapi +signature-wrong; came with x-signature, x-timestamp", line)

    form = {"CallSid": "CA1", "CallStatus": "ringing", "From": "+12025550177"}
    headers = sign_twilio(f"{BASE}/webhook/twilio/voice", form, "12345")
    headers["content-type"] = "application/x-www-form-urlencoded"
    assert is_twiml(listening.post("/webhook/twilio/voice", urlencode(form).encode(), headers).text)
    line = listening.line()
    assert "CallSid=CA1 CallStatus=ringing" in line
    assert "2025550177" not in line

    assert listening.post("/elsewhere", b"", {}).status_code == 404
    assert "no such webhook" in listening.line()
    assert listening.end() == (0, "3 authentic, 2 refused\n")


@pytest.mark.service
@pytest.mark.parametrize("listening", [("--text",)], ids=["text"], indirect=True)
def test_what_people_say_is_printed_when_wanted(listening: Listening) -> None:
    listening.vapi(SAID)
    assert "'my secret illness'" in listening.line()


def test_nothing_that_arrives_moves_the_cursor() -> None:
    body = b'{"message":{"type":"\\u001b[2Jx","call":{"id":"a\\nb"},"toolCalls":[1,{"function":2}]}}'
    line = describe("/webhook/vapi", body, text=True)
    assert line.isprintable()
    for broken in (b"", b"[]", b'{"message":1}', b'{"message":[]}', b"[" * 100_000, b"\xff"):
        assert describe("/webhook/vapi", broken, text=True).isprintable()
        assert describe("/webhook/twilio/voice", broken, text=True).isprintable()
