"""`wakeline webhook test` as a user types it: against servers with a planted fault, which it has to find."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from device.cli import main
from tests.doubles.loopback import Loopback, Reply, Request

pytestmark = pytest.mark.calls


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAKELINE_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("VAPI_SERVER_SECRET", "whsec-demo")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token-of-twilio")


class Server(Loopback):
    """Answers as it is told."""

    def __init__(self, how: Callable[[Request], Reply]) -> None:
        super().__init__()
        self.answer = how  # type: ignore[method-assign]


def open_to_all(request: Request) -> Reply:
    return Reply(200, {})


def closed_to_all(request: Request) -> Reply:
    return Reply(401, {})


def tried(server: Callable[[Request], Reply], capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any]:
    with Server(server) as double:
        status = main(["webhook", "test", double.url, "--json", *more])
    return status, json.loads(capsys.readouterr().out)


def by_name(report: Any) -> dict[str, Any]:
    return {f"{row['provider']}: {row['sent']}": row for row in report["requests"]}


def test_a_server_that_believes_everybody_fails_at_every_forgery(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = tried(open_to_all, capsys)
    forgeries = [row for row in report["requests"] if row["expected"] == [401, 403]]
    assert status == 1
    assert len(forgeries) > 35
    assert not [row["sent"] for row in forgeries if row["ok"]]
    rows = by_name(report)
    assert rows["vapi: tool-calls"]["fault"] == "no list of results"
    assert rows["vapi: assistant-request"]["fault"] == "no assistant"
    assert rows["twilio: voice"]["fault"] == "no TwiML"
    assert rows["vapi: hang"]["ok"]


def test_a_server_that_believes_nobody_fails_at_every_sample(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = tried(closed_to_all, capsys)
    assert status == 1
    assert {tuple(row["expected"]) for row in report["requests"] if row["ok"]} == {(401, 403)}


def test_results_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    def swapped(request: Request) -> Reply:
        message = json.loads(request.body)["message"]
        calls = message.get("toolCallList") or message.get("toolCalls") or ()
        ids = [call["id"] for call in calls] or [call["toolCall"]["id"] for call in message["toolWithToolCallList"]]
        return Reply(200, {"results": [{"toolCallId": id, "result": "Yes."} for id in reversed(ids)]})

    status, report = tried(swapped, capsys, "--provider", "vapi", "--only", "tool-calls")
    assert status == 1
    assert [row["sent"] for row in report["requests"] if not row["ok"]] == ["tool-calls two"]


def test_one_type_by_name_and_only_one_provider(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = tried(open_to_all, capsys, "--only", "status-update")
    assert (status, [row["sent"] for row in report["requests"]]) == (0, ["status-update"])
    status, report = tried(open_to_all, capsys, "--provider", "twilio")
    assert {row["provider"] for row in report["requests"]} == {"twilio"}


@pytest.mark.parametrize("scheme", ["hmac", "hmac-body", "bearer", "x-vapi-secret"])
def test_every_scheme_has_its_attacks(scheme: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, report = tried(closed_to_all, capsys, "--provider", "vapi", "--scheme", scheme)
    sent = {row["sent"] for row in report["requests"]}
    assert {"no signature", "other secret", "replay"} <= sent
    assert ("old" in sent) == (scheme == "hmac")


def test_nothing_is_booked_unless_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []

    def keep(request: Request) -> Reply:
        seen.append(request.body)
        return Reply(200, {})

    only = ("--provider", "vapi", "--only", "tool-calls")
    tried(keep, capsys, *only)
    assert not [body for body in seen if b"scheduleAppointment" in body]
    tried(keep, capsys, *only, "--effects")
    assert len([body for body in seen if b"scheduleAppointment" in body]) == 1


def test_the_table_says_what_each_line_proves_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with Server(closed_to_all) as double:
        assert main(["webhook", "test", f"{double.url}/webhook/vapi"]) == 1
    out = capsys.readouterr().out
    assert "an empty key signs nothing" in out
    assert "expected 200" in out
    assert "whsec-demo" not in out
    assert "token-of-twilio" not in out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["127.0.0.1:3000"], "webhook-url-invalid"),
        (["http://127.0.0.1:1", "--only", "nothing"], "webhook-nothing-to-send"),
        (["http://127.0.0.1:1"], "webhook-no-connection"),
        (["http://127.0.0.1:1", "--provider", "vapi", "--secret-env", "NOT_SET"], "webhook-no-secret"),
        (["http://127.0.0.1:1", "--secret-env", "VAPI_SERVER_SECRET"], "webhook-no-provider"),
    ],
)
def test_what_cannot_be_sent_is_said(arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["webhook", "test", *arguments]) == 2
    assert code in capsys.readouterr().err


def test_without_any_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("VAPI_SERVER_SECRET")
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    assert main(["webhook", "test", "http://127.0.0.1:1"]) == 2
    assert "webhook-no-secret" in capsys.readouterr().err
