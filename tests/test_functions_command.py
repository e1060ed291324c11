"""`wakeline functions` on the command line, and what it exports, judged by Vapi's own definitions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from device.cli import main
from tests.backend_rig import backend, says
from tests.judges import have_specs, judge, vapi_fixture, vapi_whole

SHELF = '''
from device.functions import Refused, function
from device.functions.context import Context


@function(effect=True, origins=("voice",), at_once=1)
def water_plants(litres: float, gently: bool = True) -> dict[str, float]:
    """Water the plants."""
    if litres > 10:
        raise Refused("too-wet", "That is too much water.")
    return {"litres": litres, "gently": gently}


@function(origins=("staff",), budget_s=0.05)
async def count_slowly(ctx: Context) -> str:
    """Count until the budget is over: the call is recorded as running then."""
    import asyncio

    while True:
        with ctx.store.reading() as store:
            call = store.function_call(ctx.call_id)
        if call is not None and call.state == "running":
            return "Three."
        await asyncio.sleep(0)
'''


@dataclass
class Desk:
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        status = main(["--config", str(self.folder / "wakeline.toml"), "functions", *arguments])
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> Any:
        status, out, _ = self.run(*arguments)
        assert status in (0, 1, 2)
        return json.loads(out)

    def configure(self, text: str) -> None:
        (self.folder / "wakeline.toml").write_text(f'[paths]\nstate_dir = "{self.folder}/state"\n{text}')


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BACKEND_URL", raising=False)
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "shelf.py").write_text(SHELF)
    desk = Desk(tmp_path, capsys)
    desk.configure("")
    return desk


def test_list_and_show(desk: Desk) -> None:
    status, out, err = desk.run("list")
    assert (status, err) == (0, "")
    assert re.search(r"^waterPlants +effect +Water the plants\.$", out, re.M)
    assert "(also scheduleAppointment)" in out
    assert {each["name"] for each in desk.json("list", "--json")} >= {"waterPlants", "checkAvailability"}
    status, out, _ = desk.run("show", "scheduleAppointment")
    assert status == 0
    assert "date: a date as YYYY-MM-DD, needed" in out
    assert 'asked: "For which day?"' in out
    shown = desk.json("show", "waterPlants", "--json")
    assert (shown["effect"], shown["origins"], shown["at_once"]) == (True, ["voice"], 1)
    status, _, err = desk.run("show", "waterPlant")
    assert (status, err) == (2, "wakeline: function-unknown: no function 'waterPlant'; did you mean waterPlants?\n")


def test_a_backend_url_that_nobody_uses_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_URL", "http://127.0.0.1:9")
    assert "BACKEND_URL is set, and no [functions.NAME] uses it" in desk.run("list")[2]
    desk.configure("[functions.checkAvailability]\n")
    status, out, err = desk.run("show", "checkAvailability")
    assert (status, err) == (0, "")
    assert "POST http://127.0.0.1:9/" in out
    assert desk.run("list")[2] == ""


def test_call(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = desk.run("call", "setTimer", "duration=300", "name=pasta", "--id", "t-1")
    assert status == 0
    first = json.loads(out[out.index("{") :])
    status, again, err = desk.run("call", "setTimer", "duration=300", "name=pasta", "--id", "t-1")
    assert (status, again) == (0, out)
    assert "nothing ran now" in err
    told = desk.json("call", "setTimer", "duration=300", "name=pasta", "--id", "t-1", "--json")
    assert (told["value"], told["replayed"], told["id"]) == (first, True, "t-1")
    status, _, err = desk.run("call", "setTimer", "duration=301", "--id", "t-1")
    assert status == 2
    assert "id-reused" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["setTimer", "duration=soon"], "arguments-invalid: duration: expected a whole number of seconds, got 'soon'"),
        (["setTimer"], "duration: expected a whole number of seconds, got nothing"),
        (["setTimer", "duration=5", "nam=x"], "did you mean name?"),
        (["setTimer", "duration"], "duration: expected name=value"),
        (["setTimer", "duration=5", "duration=6"], "expected duration=value once"),
        (["setTimer", "duration=5", "--id", "x" * 300], "id: expected 1 to 200 printable characters"),
        (["setTimers", "duration=5"], "did you mean setTimer?"),
        (["waterPlants", "litres=1"], "function-forbidden"),
        (["checkAvailability", "date=2026-13-01", "time=19:00"], "date: expected a date as YYYY-MM-DD"),
    ],
)
def test_what_is_not_called(desk: Desk, words: list[str], said: str) -> None:
    status, out, err = desk.run("call", *words)
    assert (status, out) == (2, "")
    assert said in err
    error = desk.json("call", *words, "--json")["error"]
    assert f"wakeline: {error['code']}: " in err


def test_values_are_read_by_the_schema(desk: Desk) -> None:
    (desk.folder / "functions" / "shelf.py").write_text(SHELF.replace('origins=("voice",), ', ""))
    assert desk.json("call", "waterPlants", "litres=1.5", "gently=no", "--json")["value"] == {
        "litres": 1.5,
        "gently": False,
    }
    assert desk.run("call", "waterPlants", "litres=nan")[0] == 2
    status, out, err = desk.run("call", "waterPlants", "litres=11")
    assert (status, out, err) == (1, "", "wakeline: too-wet: That is too much water.\n")


def test_a_call_over_its_budget_is_waited_for(desk: Desk) -> None:
    status, out, err = desk.run("call", "countSlowly")
    assert (status, out.splitlines()[0], err) == (0, "Three.", "it takes a while...\n")


@pytest.mark.calls
def test_a_call_to_a_backend(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with backend() as far:
        monkeypatch.setenv("BACKEND_URL", far.url)
        desk.configure(
            '[functions.checkAvailability]\npath = "/availability"\n'
            'result = { available = "isAvailable", nextSlots = "nextSlot" }\n'
        )
        far.will(says({"isAvailable": False, "nextSlot": "8pm"}))
        told = desk.json("call", "checkAvailability", "date=2026-12-04", "time=19:00", "--json")
        assert told["value"] == {"available": False, "nextSlots": ["8pm"]}
        far.will(says({"error": "We are closed."}, 422))
        status, _, err = desk.run("call", "checkAvailability", "date=2026-12-04", "time=19:00")
        assert (status, err) == (1, "wakeline: backend-refused: We are closed.\n")


def test_an_entry_that_cannot_be_used_is_one_line(desk: Desk) -> None:
    desk.configure('[functions.checkAvailability]\npath = "/x"\n')
    status, _, err = desk.run("list")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "config-invalid: [functions.checkAvailability]: needs url, or BACKEND_URL" in err
    desk.configure('[functions.checkAvailability]\npaht = "/x"\n')
    assert "unknown key functions.checkAvailability.paht; did you mean path?" in desk.run("list")[2]


# -- export ---------------------------------------------------------------------------------------------------------
def test_vapi_tools_are_what_vapi_defines(desk: Desk) -> None:
    desk.configure('[web]\nbase_url = "https://edge.example.org/"\n[assistant]\ncredential_id = "cr-1"\n')
    tools = desk.json("export", "--format", "vapi")
    names = [tool["function"]["name"] for tool in tools]
    assert "checkAvailability" in names
    assert not {"waterPlants", "countSlowly"} & set(names), "only what a call may use"
    schemas = [vapi_fixture(), *([vapi_whole()] if have_specs() else [])]
    for tool in tools:
        assert tool["async"] is False
        assert tool["server"]["url"] == "https://edge.example.org/webhook/vapi"
        assert tool["server"]["credentialId"] == "cr-1"
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tool["function"]["name"])
        assert 0 < len(tool["function"]["description"]) < 1000
        for each in schemas:
            if "CreateFunctionToolDTO" in each:
                assert judge(each, "CreateFunctionToolDTO", tool) == []
    legacy = desk.json("export", "--format", "vapi-legacy")
    assert legacy == [tool["function"] for tool in tools]


def test_openai_tools_and_json_schema(desk: Desk) -> None:
    for tool in desk.json("export", "--format", "openai"):
        jsonschema.Draft202012Validator.check_schema(tool["function"]["parameters"])
    document = desk.json("export", "--format", "jsonschema")
    jsonschema.Draft202012Validator.check_schema(document)
    check = jsonschema.Draft202012Validator(document["$defs"]["bookAppointment"])
    assert check.is_valid({"date": "2026-12-04", "time": "19:00", "people": 4})
    assert not check.is_valid({"date": "2026-12-04", "time": "19:00", "people": 0})


def test_a_page_into_a_file(desk: Desk) -> None:
    status, out, _ = desk.run("export", "--format", "markdown", "--out", "functions.md")
    assert (status, out) == (0, "")
    page = (desk.folder / "functions.md").read_text()
    assert "## bookAppointment" in page
    assert "| people | Number of people, a whole number, at least 1, at most 100 | no (1) | For how many? |" in page


def test_help_teaches(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["functions", "--help"])
    assert "wakeline functions call checkAvailability date=2026-12-04 time=19:00" in capsys.readouterr().out


def test_a_printed_configuration_means_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_URL", "http://127.0.0.1:9")
    desk.configure('[functions.checkAvailability]\npath = "/x"\n[functions.bookAppointment]\norigins = ["call"]\n')
    before = desk.json("list", "--json")
    assert main(["--config", str(desk.folder / "wakeline.toml"), "config"]) == 0
    (desk.folder / "wakeline.toml").write_text(desk.capsys.readouterr().out)
    assert desk.json("list", "--json") == before
    assert [each["effect"] for each in before if each["name"] in ("checkAvailability", "bookAppointment")] == [
        False,
        True,
    ]
