"""`wakeline vapi` against a double of the interface: what it prints, sends, asks, keeps and never shows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.calls import assistant_sync
from device.cli import main
from tests import judges
from tests.assistant_variants import VARIANTS, built
from tests.doubles.vapi import KEY, FakeVapi
from tests.offline_commands import Done

pytestmark = pytest.mark.calls

SECRET = "whsec-of-the-test"


@pytest.fixture
def double() -> Iterator[FakeVapi]:
    with FakeVapi() as fake:
        yield fake


class Desk:
    """The command in this process, with an environment of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str) -> None:
        self._folder, self._patch, self._capsys = folder, patch, capsys
        patch.chdir(folder)
        self.set(VAPI_API_KEY=KEY, VAPI_SERVER_SECRET=SECRET, VAPI_ASSISTANT_ID="", VAPI_WEBHOOK_SECRET="")
        self.set(NO_PROXY="127.0.0.1", WAKELINE_PATHS__STATE_DIR=str(folder / "state"))
        self.configure("", url)

    def set(self, **environ: str) -> None:
        for name, value in environ.items():
            self._patch.setenv(name, value)

    def configure(self, text: str, url: str) -> None:
        (self._folder / "w.toml").write_text(
            f'{text}\n[web]\nbase_url = "https://edge.example.org/"\n[vapi]\nbase_url = "{url}"\n'
        )

    def run(self, *arguments: str, typed: str = "") -> Done:
        self._patch.setattr("sys.stdin", io.StringIO(typed))
        status = main(["--config", "w.toml", "vapi", *arguments])
        end = self._capsys.readouterr()
        for text in (end.out, end.err):
            assert KEY not in text
            assert SECRET not in text
        return Done(status, end.out, end.err)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], double: FakeVapi) -> Desk:
    return Desk(tmp_path, monkeypatch, capsys, double.url)


def sent(double: FakeVapi, method: str) -> list[Any]:
    return [json.loads(each.body) for each in double.requests if each.method == method]


# -- print ----------------------------------------------------------------------------------------------------------
def test_the_assistant_is_printed_with_our_functions_and_without_the_secret(desk: Desk, double: FakeVapi) -> None:
    end = desk.run("assistant", "--json")
    assistant = json.loads(end.out)
    assert (end.status, end.err, double.requests) == (0, "", [])
    names = [tool["function"]["name"] for tool in assistant["model"]["tools"] if tool["type"] == "function"]
    assert {"checkAvailability", "bookAppointment"} <= set(names)
    assert assistant["server"]["url"] == "https://edge.example.org/webhook/vapi"
    assert assistant["server"]["headers"] == {"X-Vapi-Secret": "(hidden)"}
    assert desk.run("assistant", "--json").out == end.out


def test_what_is_missing_is_said_beside_the_json(desk: Desk, double: FakeVapi) -> None:
    desk.set(VAPI_SERVER_SECRET="", WAKELINE_WEB__BASE_URL="")
    (Path("w.toml")).write_text("")
    end = desk.run("assistant")
    assert "server" not in json.loads(end.out)
    assert [line.split(" is not set")[0] for line in end.err.splitlines()] == [
        "note: VAPI_SERVER_SECRET",
        "note: web.base_url",
    ]


def test_the_old_form(desk: Desk) -> None:
    desk.configure('[assistant]\ntransfer_to = "+12025550143"\nrecording = true', "http://127.0.0.1:9")
    old = json.loads(desk.run("assistant", "--legacy", "--json").out)
    assert old["serverUrl"] == "https://edge.example.org/webhook/vapi"
    assert "checkAvailability" in [each["name"] for each in old["model"]["functions"]]
    assert old["model"]["systemPrompt"].startswith("You answer the phone")
    assert (old["forwardingPhoneNumber"], old["recordingEnabled"]) == ("+12025550143", True)
    assert not {"tools", "messages"} & old["model"].keys()


# -- create, compare, push ------------------------------------------------------------------------------------------
def test_pushed_for_the_first_time_it_is_created_and_the_place_of_its_id_is_told(desk: Desk, double: FakeVapi) -> None:
    declined = desk.run("assistant", "--push", typed="no\n")
    assert (declined.status, sent(double, "POST")) == (1, [])
    assert '+    "temperature": 0.7' in declined.out

    created = desk.run("assistant", "--push", typed="y\n")
    (id,) = double.assistants
    (body,) = sent(double, "POST")
    assert created.status == 0
    assert f"VAPI_ASSISTANT_ID={id}" in created.out
    assert body["server"]["headers"] == {"X-Vapi-Secret": SECRET}, "hidden from people, not from the interface"

    desk.set(VAPI_ASSISTANT_ID=id)
    for again in (("--diff",), ("--push",), ("--push", "--yes")):
        end = desk.run("assistant", *again)
        assert (end.status, end.out) == (0, f"assistant {id} is as configured: nothing to change\n")
    assert {each.method for each in double.requests} == {"POST", "GET"}


def test_a_change_is_shown_and_only_it_is_sent(desk: Desk, double: FakeVapi) -> None:
    desk.run("assistant", "--push", "--yes")
    (id,) = double.assistants
    # Set in the dashboard beside ours; a patch replaces top-level fields whole.
    double.assistants[id]["voice"]["speed"] = 1.1
    double.assistants[id]["model"]["toolIds"] = ["t-1"]
    double.assistants[id]["voicemailMessage"] = "Call back, please."
    booking = next(
        t for t in double.assistants[id]["model"]["tools"] if t.get("function", {}).get("name") == "bookAppointment"
    )
    booking["rejectionPlan"] = {"conditions": []}
    desk.configure('[assistant]\ntemperature = 0.2\nvoice_id = "Savannah"', double.url)

    end = desk.run("assistant", "--id", id, "--diff")
    assert end.status == 1
    changed = [line for line in end.out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert sorted(line.replace(" ", "") for line in changed) == [
        '+"temperature":0.2,',
        '+"voiceId":"Savannah"',
        '-"temperature":0.7,',
        '-"voiceId":"Elliot"',
    ]

    report = json.loads(desk.run("assistant", "--id", id, "--push", "--yes", "--json").out)
    assert (report["id"], report["changed"], report["pushed"]) == (id, ["model", "voice"], True)
    (patch,) = sent(double, "PATCH")
    assert patch.keys() == {"model", "voice"}
    assert patch["voice"] == {"provider": "vapi", "voiceId": "Savannah", "speed": 1.1}
    assert patch["model"]["toolIds"] == ["t-1"]
    assert [tool["function"]["name"] for tool in patch["model"]["tools"] if "rejectionPlan" in tool] == [
        "bookAppointment"
    ]
    assert double.assistants[id]["voicemailMessage"] == "Call back, please."
    assert desk.run("assistant", "--id", id, "--diff").status == 0


def test_another_engine_keeps_nothing_of_the_old_one(desk: Desk, double: FakeVapi) -> None:
    desk.run("assistant", "--push", "--yes")
    (id,) = double.assistants
    double.assistants[id]["voice"]["speed"] = 1.1
    desk.configure(
        '[assistant]\nvoice_provider = "11labs"\nvoice_id = "burt"\ntranscriber_model = "nova-2"', double.url
    )
    assert desk.run("assistant", "--id", id, "--push", "--yes").status == 0
    voice = {"provider": "11labs", "voiceId": "burt", "stability": 0.5, "similarityBoost": 0.75}
    now = double.assistants[id]
    assert now["voice"] == voice
    assert now["transcriber"]["keywords"] == ["appointment:2", "reschedule:2", "cancel:2"]
    assert "keyterm" not in now["transcriber"]


def test_a_foreign_server_and_a_changed_secret_are_noticed(desk: Desk, double: FakeVapi) -> None:
    desk.run("assistant", "--push", "--yes")
    (id,) = double.assistants
    desk.set(VAPI_ASSISTANT_ID=id)
    double.assistants[id]["server"]["headers"] = {"X-Vapi-Secret": "an old one"}
    end = desk.run("assistant", "--diff")
    assert (end.status, end.out) == (1, "a hidden value in server\n")
    double.assistants[id]["server"]["url"] = "https://elsewhere.example.org"
    assert '-    "url": "https://elsewhere.example.org"' in desk.run("assistant", "--diff").out
    desk.run("assistant", "--push", "--yes")
    assert double.assistants[id]["server"]["headers"] == {"X-Vapi-Secret": SECRET}


# -- faults ---------------------------------------------------------------------------------------------------------
def test_every_fault_is_one_line_with_a_stable_code(desk: Desk, double: FakeVapi) -> None:
    desk.run("assistant", "--diff").fault("vapi-no-assistant", "VAPI_ASSISTANT_ID")
    desk.run("assistant", "--diff", "--id", "gone").fault("vapi-not-found", "assistant/gone", "VAPI_ASSISTANT_ID")
    desk.run("assistant", "--diff", "--id", "../call").fault("vapi-not-found")
    assert double.requests[-1].path == "/assistant/..%2Fcall"
    double.wrong = f"model.temperature must not be greater than 2 for {KEY}"
    end = desk.run("assistant", "--push", "--yes")
    assert end.status == 2
    assert (
        end.err
        == "wakeline: vapi-refused: Vapi answered 400: model.temperature must not be greater than 2 for (hidden)\n"
    )
    desk.set(VAPI_API_KEY="another")
    desk.run("assistant", "--diff", "--id", "x").fault("vapi-unauthorized", "private key")
    desk.set(VAPI_API_KEY="")
    desk.run("assistant", "--push").fault("vapi-key-missing", "VAPI_API_KEY")


def test_without_a_network_it_is_one_line(desk: Desk) -> None:
    desk.configure("", "http://127.0.0.1:9")
    desk.run("assistant", "--diff", "--id", "x").fault("vapi-unreachable", "127.0.0.1:9")


# -- check ----------------------------------------------------------------------------------------------------------
def test_check_says_what_is_missing_and_what_for(desk: Desk) -> None:
    end = desk.run("check")
    assert end.status == 1
    assert "MISSING  VAPI_ASSISTANT_ID" in end.out
    assert end.out.splitlines()[-1] == "1 missing: VAPI_ASSISTANT_ID"
    desk.set(VAPI_ASSISTANT_ID="as-1")
    report = json.loads(desk.run("check", "--json").out)
    assert report["ready"] is True
    by_name = {row["name"]: row for row in report["settings"]}
    assert by_name["VAPI_API_KEY"]["value"] == "(hidden)"
    assert not by_name["assistant.credential_id"]["set"]


def test_check_knows_which_signatures_are_accepted(desk: Desk) -> None:
    desk.set(VAPI_ASSISTANT_ID="as-1", WAKELINE_WEB__SCHEMES='["hmac"]')
    end = desk.run("check")
    assert (end.status, end.out.splitlines()[-1]) == (1, "1 missing: assistant.credential_id")
    assert "headers" not in json.loads(desk.run("assistant", "--json").out)["server"]


def test_of_several_secrets_the_first_is_sent(desk: Desk, double: FakeVapi) -> None:
    desk.set(VAPI_SERVER_SECRET=f"{SECRET} an-older-one")
    desk.run("assistant", "--push", "--yes")
    assert sent(double, "POST")[0]["server"]["headers"] == {"X-Vapi-Secret": SECRET}


# -- the pure part --------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not judges.have_specs(), reason=judges.MISSING)
@pytest.mark.parametrize("wanted", VARIANTS, ids=range(len(VARIANTS)))
def test_every_variant_is_what_the_interface_takes(wanted: dict[str, Any]) -> None:
    known = judges.vapi_whole()
    assistant = built(wanted)
    assert judges.judge(known, "CreateAssistantDTO", assistant) == []
    assert assistant == built(wanted)
    spoilt = assistant | {"model": assistant["model"] | {"functions": []}}
    assert judges.judge(known, "CreateAssistantDTO", spoilt) != []


def test_the_variants_say_what_they_should() -> None:
    assert built(VARIANTS[1])["server"]["credentialId"] == "cr-1"
    assert "headers" not in built(VARIANTS[1])["server"]
    assert "transcript" in built(VARIANTS[1])["serverMessages"]
    assert built(VARIANTS[2])["model"]["tools"][-1]["destinations"][0]["sipUri"] == "sip:desk@example.org"
    assert built(VARIANTS[3])["transcriber"]["keywords"] == ["appointment:2", "front:2", "desk:2", "No:2"]
    assert built(VARIANTS[3])["firstMessageMode"] == "assistant-waits-for-user"
    assert built(VARIANTS[0])["stopSpeakingPlan"] == {"numWords": 0, "voiceSeconds": 0.2, "backoffSeconds": 1}


def test_nothing_differs_from_itself_whatever_the_interface_fills_in() -> None:
    for wanted in VARIANTS:
        ours = built(wanted)
        theirs = json.loads(json.dumps(ours)) | {"id": "x", "maxDurationSeconds": 600.0, "hooks": None}
        theirs["serverMessages"].reverse()
        theirs["server"]["encryptedPaths"] = []
        assert assistant_sync.change(theirs, ours).text() == ""
