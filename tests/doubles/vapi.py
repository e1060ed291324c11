"""A fake Vapi: create, list and read calls, and the control URL of a call. Each look at a call moves it one step on."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tests.doubles.loopback import Die, Loopback, Reply, Request, Scenario, Stall

KEY = "private-key-of-the-double"
ASSISTANT = "5d5cb0b3-assistant"
NUMBER = "0c1a9b11-number"
_WHEN = "2026-11-24T09:00:00.000Z"

_COURSES: dict[Scenario, tuple[tuple[str, str], ...]] = {
    Scenario.BUSY: (("queued", ""), ("ringing", ""), ("ended", "customer-busy")),
    Scenario.NO_ANSWER: (("queued", ""), ("ringing", ""), ("ringing", ""), ("ended", "customer-did-not-answer")),
}
_ANSWERED = (
    ("queued", ""),
    ("ringing", ""),
    ("in-progress", ""),
    ("in-progress", ""),
    ("ended", "customer-ended-call"),
)
_WORDS = {400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 404: "Not Found"}


class FakeVapi(Loopback):
    def __init__(self, scenario: Scenario = Scenario.ANSWER, *, refuse_status: int = 401, control: bool = True) -> None:
        super().__init__()
        self.scenario = scenario
        self.refuse_status = refuse_status
        self.control = control
        self.calls: list[dict[str, Any]] = []
        self.controls: list[Any] = []
        self.assistants: dict[str, dict[str, Any]] = {}
        self.wrong = ""
        """The fault that is found in every assistant; empty: none."""
        self.listed = 0
        self._course: list[tuple[str, str]] = []

    @property
    def creations(self) -> list[Any]:
        """The body of every request to place a call."""
        return [json.loads(r.body) for r in self.requests if (r.method, r.path) == ("POST", "/call")]

    @property
    def placed(self) -> int:
        return len(self.calls)

    def answer(self, request: Request) -> Reply:
        if "user-agent" not in request.headers or "Python-urllib" in request.headers["user-agent"]:
            return Reply(403, "error code: 1010")
        if request.path.endswith("/control"):
            return self._controlled(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _refusal(401, "Invalid Key. Hot tip, you may be using the public key instead of the private key.")
        if request.path.split("/")[1] == "assistant":
            return self._assistant(request)
        if (request.method, request.path) == ("POST", "/call"):
            return self._create(request)
        if (request.method, request.path) == ("GET", "/call"):
            return Reply(200, self._list())
        return self._read(request.path.rsplit("/", 1)[1])

    def _create(self, request: Request) -> Reply:
        if self.scenario is Scenario.REFUSE:
            return _refusal(self.refuse_status, f"No call to {json.loads(request.body)['customer'].get('number')}.")
        if self.scenario is Scenario.STALL:
            raise Stall
        call = self._new(json.loads(request.body))
        self.calls.insert(0, call)
        if self.scenario in (Scenario.DIE, Scenario.SLOW_DIE):
            raise Die
        return Reply(201, call)

    def _new(self, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.calls) + 1
        self._course = list(_COURSES.get(self.scenario, _ANSWERED))
        call = {
            "id": f"call-{number}",
            "orgId": "org-1",
            "type": "outboundPhoneCall",
            "createdAt": _WHEN,
            "updatedAt": _WHEN,
            "status": "queued",
            **{key: body[key] for key in ("name", "assistantId", "phoneNumberId", "customer", "assistantOverrides")},
        }
        if self.control:
            call["monitor"] = {
                "listenUrl": f"{self.url}/call-{number}-secret/listen",
                "controlUrl": f"{self.url}/call-{number}-secret/control",
            }
        return call

    def _list(self) -> list[dict[str, Any]]:
        self.listed += 1
        if self.scenario is Scenario.SLOW_DIE and self.listed < 3:
            return []
        return self.calls

    def _read(self, call_id: str) -> Reply:
        call = next((each for each in self.calls if each["id"] == call_id), None)
        if call is None:
            return _refusal(404, "Call does not exist.")
        if self._course and call["status"] != "ended":
            status, reason = self._course.pop(0)
            call["status"] = status
            if reason:
                call["endedReason"] = reason
                call["endedAt"] = _WHEN
        return Reply(200, call)

    def _assistant(self, request: Request) -> Reply:
        """POST makes one, PATCH replaces top-level fields whole, and what is not set is filled in."""
        id = request.path.removeprefix("/assistant").strip("/")
        if request.method != "POST" and id not in self.assistants:
            return _refusal(404, "Couldn't get assistant. Does it exist?")
        if request.method in ("POST", "PATCH"):
            if self.wrong:
                return Reply(400, {"message": [self.wrong], "error": "Bad Request", "statusCode": 400})
            id = id or f"{len(self.assistants) + 1:08}-1111-4111-8111-111111111111"
            stamps = {"id": id, "orgId": "org-1", "createdAt": _WHEN, "updatedAt": _WHEN, "latestVersion": "v1"}
            old = self.assistants.get(id, stamps)
            self.assistants[id] = _filled(old | json.loads(request.body))
        return Reply(201 if request.method == "POST" else 200, self.assistants[id])

    def _controlled(self, request: Request) -> Reply:
        if "authorization" in request.headers:
            return _refusal(401, "the private key has no business here")
        self.controls.append(json.loads(request.body))
        for call in self.calls:
            same = urlsplit(call["monitor"]["controlUrl"]).path == request.path
            if same and call["status"] != "ended" and self.controls[-1] == {"type": "end-call"}:
                call.update(status="ended", endedReason="manually-canceled", endedAt=_WHEN)
                return Reply(200, {"success": True})
        return _refusal(404, "Call is not active.")


def _filled(assistant: dict[str, Any]) -> dict[str, Any]:
    """What the interface adds by itself, as far as it is seen in a reading."""
    filled: dict[str, Any] = {"hooks": None, "isServerUrlSecretSet": False, **assistant}
    filled["model"] = {"emotionRecognitionEnabled": False, **filled.get("model", {})}
    if "server" in filled:
        filled["server"] = {"staticIpAddressesEnabled": False, "headers": {}, **filled["server"]}
    if "serverMessages" in filled:
        filled["serverMessages"] = filled["serverMessages"][::-1]
    return filled


def _refusal(status: int, message: str) -> Reply:
    return Reply(status, {"message": message, "error": _WORDS.get(status, "Error"), "statusCode": status})
