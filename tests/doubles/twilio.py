"""A fake Twilio: the Calls resource with its magic test numbers. Each look at a call moves it one step on."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

from tests.doubles.loopback import Die, Loopback, Reply, Request, Scenario, Stall

ACCOUNT = "AC" + "0" * 31 + "1"
TOKEN = "token-of-the-double"
FROM = "+15005550006"
TO = "+12025550143"

_BAD_TO = {"+15005550001": 21217, "+15005550002": 21214, "+15005550003": 21215, "+15005550004": 21216}
_BAD_FROM = {"+15005550001": 21212}
_UNVERIFIED_FROM = 21210
_ANSWERED = ("queued", "ringing", "in-progress", "in-progress", "completed")
_COURSES: dict[Scenario, tuple[str, ...]] = {
    Scenario.BUSY: ("queued", "ringing", "busy"),
    Scenario.NO_ANSWER: ("queued", "ringing", "ringing", "no-answer"),
}
_OVER = ("completed", "busy", "failed", "no-answer", "canceled")
_CODES = {401: 20003, 402: 20005, 404: 20404, 429: 20429}


class FakeTwilio(Loopback):
    def __init__(
        self,
        scenario: Scenario = Scenario.ANSWER,
        *,
        refuse_status: int = 401,
        clock_error: timedelta = timedelta(),
    ) -> None:
        super().__init__()
        self.scenario = scenario
        self.refuse_status = refuse_status
        self.clock_error = clock_error
        """How far this server's clock is from the device's."""
        self.calls: list[dict[str, Any]] = []
        self.updates: list[dict[str, str]] = []
        self.listed = 0
        self._course: list[str] = []

    @property
    def creations(self) -> list[dict[str, str]]:
        """The form of every request to place a call."""
        return [_form(r) for r in self.requests if r.method == "POST" and r.path.endswith("/Calls.json")]

    @property
    def placed(self) -> int:
        return len(self.calls)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_error

    def add_call(self, to: str, age: timedelta, direction: str = "outbound-api") -> str:
        """A call that somebody else made."""
        self.calls.insert(0, self._new(to, FROM, age, direction))
        return str(self.calls[0]["sid"])

    def answer(self, request: Request) -> Reply:
        expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return self._refusal(401, 20003, "Authenticate")
        prefix = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
        if request.path == f"{prefix}.json":
            return self._create(_form(request)) if request.method == "POST" else self._list(request)
        call = next((each for each in self.calls if request.path == f"{prefix}/{each['sid']}.json"), None)
        if call is None:
            return self._refusal(404, 20404, f"The requested resource {request.path} was not found")
        return self._update(call, _form(request)) if request.method == "POST" else self._read(call)

    def _create(self, form: dict[str, str]) -> Reply:
        to, sender = form.get("To", ""), form.get("From", "")
        if sender != FROM:
            return self._refusal(400, _BAD_FROM.get(sender, _UNVERIFIED_FROM), f"From {sender} cannot be used")
        if to in _BAD_TO:
            return self._refusal(400, _BAD_TO[to], f"To {to} cannot be called")
        if self.scenario is Scenario.REFUSE:
            return self._refusal(self.refuse_status, _CODES.get(self.refuse_status, 20001), f"no call to {to}")
        if self.scenario is Scenario.STALL:
            raise Stall
        self._course = list(_COURSES.get(self.scenario, _ANSWERED))
        call = self._new(to, sender, timedelta(), "outbound-api")
        self.calls.insert(0, call)
        if self.scenario in (Scenario.DIE, Scenario.SLOW_DIE):
            raise Die
        return self._reply(201, call)

    def _new(self, to: str, sender: str, age: timedelta, direction: str) -> dict[str, Any]:
        sid = f"CA{len(self.calls) + 1:032x}"
        created = format_datetime(self.now() - age)
        empty = dict.fromkeys(
            ("start_time", "end_time", "duration", "price", "answered_by", "forwarded_from", "caller_name")
        )
        return {
            **empty,
            "sid": sid,
            "account_sid": ACCOUNT,
            "parent_call_sid": None,
            "to": to,
            "from": sender,
            "status": "queued",
            "direction": direction,
            "date_created": created,
            "date_updated": created,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json",
        }

    def _list(self, request: Request) -> Reply:
        self.listed += 1
        hidden = self.scenario is Scenario.SLOW_DIE and self.listed < 3
        # The time filter compares the start, which a queued call does not have.
        late = "StartTime>" in request.query
        found = [
            call
            for call in self.calls
            if call["to"] == request.query.get("To", call["to"])
            and call["from"] == request.query.get("From", call["from"])
            and not hidden
            and not (late and call["start_time"] is None)
        ]
        page = {"page": 0, "page_size": 20, "start": 0, "end": max(0, len(found) - 1), "next_page_uri": None}
        return self._reply(200, {**page, "uri": request.path, "calls": found})

    def _read(self, call: dict[str, Any]) -> Reply:
        if self._course and call["status"] not in _OVER:
            call["status"] = self._course.pop(0)
        return self._reply(200, call)

    def _update(self, call: dict[str, Any], form: dict[str, str]) -> Reply:
        self.updates.append(form)
        if call["status"] in _OVER:
            return self._refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
        call["status"] = "completed" if call["status"] == "in-progress" else "canceled"
        return self._reply(200, call)

    def _reply(self, status: int, value: Any) -> Reply:
        return Reply(status, value, {"Date": format_datetime(self.now(), usegmt=True)})

    def _refusal(self, status: int, code: int, message: str) -> Reply:
        info = f"https://www.twilio.com/docs/errors/{code}"
        return self._reply(status, {"code": code, "message": message, "more_info": info, "status": status})


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
