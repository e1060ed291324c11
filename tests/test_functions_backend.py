"""Functions behind an HTTP backend, over loopback sockets: what is sent, what an answer means, faults, retries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device.config import ConfigError
from device.dialog.assembly import forms_of
from device.functions.backend import Backends
from device.functions.breaker import BreakerSettings, BreakerState
from device.functions.contract import BackendUnavailable, BadArguments, FunctionCall, FunctionResult, Origin, Refused
from device.functions.exchange import ANSWER_LIMIT, Exchange
from device.functions.hours import BookSettings
from device.functions.registry import Registry
from device.functions.runner import Runner, context_factory
from device.functions.sqlite_store import SqliteStore
from device.secrets import Secrets
from device.settings import BackendSection
from tests.backend_rig import Answer, Backend, backend, endless, half, hangs_up, says

pytestmark = pytest.mark.calls

NOW = datetime(2026, 12, 1, 14, 20, tzinfo=UTC)
TUTORIAL = {"path": "/availability", "result": {"available": "isAvailable", "nextSlots": "nextSlot"}}
FREE = {"date": "2026-12-04", "time": "19:00"}
NEXT = {"date": "2026-12-04", "time": "20:00"}
NO_PARAMETERS = {"description": "Ask.", "path": "/ask", "effect": False}


@pytest.fixture
def far() -> Iterator[Backend]:
    with backend() as double:
        yield double


class Desk:
    """A registry with backends, and the runner before it, on a real store."""

    def __init__(self, folder: Path, far: Backend, sections: Mapping[str, Mapping[str, Any]], **environ: str) -> None:
        self.paused: list[float] = []
        self.now = 0.0
        self.folder = folder
        self.exchange = Exchange(
            settings=BreakerSettings(failures=5, window_s=30, open_s=20),
            clock=lambda: self.now,
            pause=self._pause,
            chance=lambda: 1.0,
        )
        secrets = Secrets({"BACKEND_URL": far.url, **environ}, folder / "no.env")
        entries = {name: BackendSection(**each) for name, each in sections.items()}
        self.registry = Registry.load([], Backends(entries, secrets, exchange=self.exchange))

    def call(self, name: str, *ids: str, origin: Origin = "call", **arguments: Any) -> FunctionResult:
        """The last of the results."""

        async def scene() -> FunctionResult:
            store = SqliteStore(self.folder / "wakeline.db")
            runner = Runner(self.registry, store, context_factory(lambda: NOW, UTC, BookSettings()))
            try:
                for id in ids or ("c-1",):
                    result = await runner.run(FunctionCall(id, name, arguments, origin))
                    await runner.drain()
                return result
            finally:
                await self.registry.close()
                store.close()

        return asyncio.run(asyncio.wait_for(scene(), 15))

    async def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        await asyncio.sleep(0)


def test_the_tutorials_backend_with_three_lines(tmp_path: Path, far: Backend) -> None:
    far.will(says({"isAvailable": False, "nextSlot": NEXT}))
    desk = Desk(tmp_path, far, {"checkAvailability": TUTORIAL})
    result = desk.call("checkAvailability", **FREE)
    assert result.value == {"available": False, "nextSlots": [NEXT]}
    assert result.sentence == "Sorry, that time is taken. The next free time is Friday, December 4th at 8 PM."
    (asked,) = far.asked
    assert (asked.method, asked.path, asked.json) == ("POST", "/availability", FREE)
    assert "idempotency-key" not in asked.headers, "it is a read, as the function it replaces"


def test_the_same_shape_from_python_and_from_a_backend(tmp_path: Path, far: Backend) -> None:
    far.will(says({"isAvailable": True, "nextSlot": NEXT}), says({"isAvailable": True, "nextSlot": None}))
    behind = Desk(tmp_path / "a", far, {"checkAvailability": TUTORIAL})
    inside = Desk(tmp_path / "b", far, {})
    for folder in "ab":
        (tmp_path / folder).mkdir()
    here, there = (desk.call("checkAvailability", **FREE).value for desk in (inside, behind))
    assert here is not None
    assert there is not None
    assert here.keys() == there.keys()
    assert here["available"] is there["available"] is True
    assert [each.keys() for each in here["nextSlots"][:1]] == [each.keys() for each in there["nextSlots"]]
    nothing = behind.call("checkAvailability", "c-2", **FREE).value
    assert nothing == {"available": True, "nextSlots": []}


def test_an_entry_takes_the_place_of_the_python_function_and_keeps_its_questions(tmp_path: Path, far: Backend) -> None:
    python = Registry.load().get("bookAppointment")
    entry = {"path": "/book", "budget_s": 9, "at_once": 2, "confirm": "Book {date}, right?", "alias": ("reserve",)}
    desk = Desk(tmp_path, far, {"scheduleAppointment": entry})
    spec = desk.registry.get("scheduleAppointment")
    assert spec is desk.registry.get("bookAppointment") is desk.registry.get("reserve")
    assert (spec.name, spec.slots, spec.json_schema) == ("bookAppointment", python.slots, python.json_schema)
    assert (spec.effect, spec.budget_s, spec.at_once, spec.confirm) == (True, 9, 2, "Book {date}, right?")
    assert (spec.description, spec.origins) == (python.description, python.origins)
    form = forms_of(desk.registry).get("reserve")
    assert form is not None
    assert [slot.question for slot in form.slots] == [slot.question for slot in python.slots]
    far.will(says({"confirmation": 17}))
    result = desk.call("bookAppointment", **FREE, people=4)
    assert result.value == {"confirmation": 17}
    assert far.asked[0].json == {**FREE, "people": 4, "name": ""}


def test_everything_an_entry_can_say(tmp_path: Path, far: Backend) -> None:
    entry = {
        "description": "Order a taxi.",
        "method": "PUT",
        "path": "/rooms/{room}/taxi?day={day}",
        "headers": {"X-Key": "${TAXI_KEY}", "Authorization": "Bearer ${TAXI_TOKEN}"},
        "parameters": {
            "room": {"question": "Which room?"},
            "day": {"format": "date"},
            "seats": {"type": "integer", "minimum": 1, "default": 1},
            "child": {"type": "boolean"},
            "size": {"enum": ["small", "large"]},
        },
        "required": ("room", "day"),
        "arguments": {"seats": "passengers"},
        "result": {"minutes": "eta.minutes", "plate": "cars.0.plate"},
        "sentence": "Your taxi for {seats} comes in {minutes} minutes[, number {plate}].",
        "origins": ("voice", "call"),
        "idempotent": True,
    }
    desk = Desk(tmp_path, far, {"orderTaxi": entry}, TAXI_KEY="k-1", TAXI_TOKEN="t-1")
    far.will(says({"eta": {"minutes": 5}, "cars": [{"plate": "W 1"}]}))
    result = desk.call("orderTaxi", room="7/a ..", day="2026-12-04", child=True)
    assert result.value == {"minutes": 5, "plate": "W 1"}
    assert result.sentence == "Your taxi for 1 comes in 5 minutes, number W 1."
    (asked,) = far.asked
    assert (asked.method, asked.path) == ("PUT", "/rooms/7%2Fa%20../taxi?day=2026-12-04")
    assert asked.json == {"passengers": 1, "child": True}
    assert (asked.headers["x-key"], asked.headers["authorization"]) == ("k-1", "Bearer t-1")
    assert asked.headers["idempotency-key"] == "c-1"
    assert "k-1" not in repr(desk.registry.get("orderTaxi"))
    for field, wrong in {"room": "..", "seats": "four", "sise": "large"}.items():
        bad = desk.call("orderTaxi", f"bad-{field}", **{"room": "7", "day": "2026-12-04", field: wrong})
        assert isinstance(bad.error, BadArguments)
        assert [problem.field for problem in bad.error.problems] == [field]
    assert len(far.asked) == 1


def test_a_get_has_its_arguments_in_the_query(tmp_path: Path, far: Backend) -> None:
    entry = {
        **NO_PARAMETERS,
        "method": "GET",
        "path": "/a?fixed=1",
        "parameters": {"q": {}, "deep": {"type": "boolean"}},
    }
    far.will(says([1, 2]))
    result = Desk(tmp_path, far, {"find": entry}).call("find", q="a&b=ü", deep=False)
    assert result.value == {"result": [1, 2]}
    assert far.asked[0].path == "/a?fixed=1&q=a%26b%3D%C3%BC&deep=false"
    assert far.asked[0].body == b""


# -- failures -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (says({"error": "Seven is taken."}, 409), "backend-refused", "Seven is taken."),
        (says({"message": "No\nsuch day", "error": "x"}, 400), "backend-refused", "No such day"),
        (says({"error": {"message": "Full."}}, 422), "backend-refused", "Full."),
        (says({"error": "y" * 9000}, 400), "backend-refused", "y" * 497 + "..."),
        (says(b"<html>", 400), "backend-refused", "Sorry, the booking system did not accept that."),
        (says(b"<html>", 404), "backend-failed", ""),
        (says({"error": "bad key k-1"}, 401), "backend-failed", ""),
        (says(b"", 302, Location="http://127.0.0.1:9/"), "backend-failed", ""),
        (says(b"{nope", 200), "backend-failed", ""),
        (says(b'{"a": NaN}', 200), "backend-failed", ""),
        (says(b"[" * 100_000, 200), "backend-failed", ""),
        (says(b"\xff\xfe", 200), "backend-failed", ""),
        (says({"other": 1}, 200), "backend-failed", ""),
        (says({}, 200, Content_Encoding="gzip"), "backend-failed", ""),
        (endless, "backend-failed", ""),
    ],
)
def test_what_is_not_asked_again(tmp_path: Path, far: Backend, answer: Answer, code: str, said: str) -> None:
    far.will(answer)
    result = Desk(tmp_path, far, {"checkAvailability": TUTORIAL}).call("checkAvailability", "c-1", "c-1", **FREE)
    assert result.error is not None
    assert (result.error.code, result.replayed) == (code, True)
    assert result.sentence == said if said else "30 seconds" in result.sentence
    assert len(far.asked) == 1


@pytest.mark.parametrize("answer", [says({"error": "x"}, 500), says(b"", 503), says(b"", 429), half, hangs_up])
def test_a_read_is_asked_again_with_growing_pauses(tmp_path: Path, far: Backend, answer: Answer) -> None:
    desk = Desk(tmp_path, far, {"checkAvailability": TUTORIAL})
    far.will(answer, answer, answer, says({"isAvailable": True}))
    assert desk.call("checkAvailability", **FREE).value == {"available": True, "nextSlots": []}
    assert len(far.asked) == 4
    assert desk.paused == [0.5, 1.0, 2.0]


def test_the_backend_may_ask_for_a_longer_pause_but_not_for_ever(tmp_path: Path, far: Backend) -> None:
    desk = Desk(tmp_path, far, {"ask": NO_PARAMETERS})
    far.will(says(b"", 503, Retry_After="3"), says(b"", 503, Retry_After="86400"), says({}))
    assert desk.call("ask").error is None
    assert desk.paused == [3.0, 8.0]


def test_an_effect_is_asked_again_only_if_its_backend_knows_the_key(tmp_path: Path, far: Backend) -> None:
    once = {"description": "Pay.", "path": "/pay"}
    desk = Desk(tmp_path, far, {"pay": once, "paySafely": {**once, "idempotent": True}})
    far.will(half)
    result = desk.call("pay", "vapi:c 1:tö")
    assert result.error is not None
    assert result.error.code == "backend-failed"
    assert len(far.asked) == 1
    far.will(half, says(b"", 502), says({}, 201))
    assert desk.call("paySafely", "vapi:c 1:tö", "vapi:c 1:tö").error is not None, "the id is of another function"
    assert desk.call("paySafely", "vapi:c 2:tö", "vapi:c 2:tö").replayed
    assert len(far.asked) == 4
    assert {each.headers["idempotency-key"] for each in far.asked[1:]} == {"vapi:c%202:t%C3%B6"}


def test_a_backend_that_is_not_there(tmp_path: Path, far: Backend) -> None:
    gone = {"description": "Pay.", "url": "http://127.0.0.1:1", "retries": 2}
    desk = Desk(tmp_path, far, {"pay": gone})
    result = desk.call("pay")
    assert result.error is not None
    assert result.error.code == "backend-failed"
    assert len(desk.paused) == 2, "nothing was sent, so even an effect may be tried again"


def test_a_slow_backend_is_given_up(tmp_path: Path, far: Backend) -> None:
    desk = Desk(tmp_path, far, {"ask": {**NO_PARAMETERS, "timeout_s": 0.1, "retries": 1}})
    far.will(far.slow)
    result = desk.call("ask")
    assert result.error is not None
    assert result.error.code == "backend-failed"
    assert desk.paused == [0.5]


def test_the_breaker_opens_lets_one_probe_through_and_closes(tmp_path: Path, far: Backend) -> None:
    other = {**NO_PARAMETERS, "path": "/other"}
    desk = Desk(tmp_path, far, {"ask": {**NO_PARAMETERS, "retries": 9}, "other": other})
    breaker = desk.exchange.breaker(far.url + "/anything")
    far.will(says(b"", 500))
    result = desk.call("ask", "a")
    assert result.error is not None
    assert result.error.code == "backend-failed"
    assert len(far.asked) == 5, "it opened in the middle of the retries"
    result = desk.call("other", "b")
    assert isinstance(result.error, BackendUnavailable)
    assert len(far.asked) == 5
    desk.now = 21
    assert desk.call("ask", "c").error is not None
    assert (len(far.asked), breaker.state) == (6, BreakerState.OPEN)
    desk.now = 42
    far.will(says({"error": "no"}, 409))
    assert isinstance(desk.call("ask", "d").error, Refused)
    assert breaker.state is BreakerState.CLOSED, "a no is an answer"


def test_nothing_private_is_logged(tmp_path: Path, far: Backend, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="wakeline")
    caplog.set_level(logging.INFO)
    entry = {**NO_PARAMETERS, "method": "GET", "parameters": {"q": {}}, "headers": {"X-Key": "${KEY_9}"}}
    far.will(says(b"", 500), half, says({"error": "quite-private"}, 401))
    Desk(tmp_path, far, {"find": entry}, KEY_9="s3cret").call("find", q="whisper")
    assert "find: backend 127.0.0.1: status 500" in caplog.text
    assert not {word for word in ("s3cret", "whisper", "quite-private") if word in caplog.text}


def test_no_cookies_are_kept(tmp_path: Path, far: Backend) -> None:
    far.will(says({}, Set_Cookie="who=ann; Path=/"))
    Desk(tmp_path, far, {"ask": NO_PARAMETERS}).call("ask", "a", "b")
    assert len(far.asked) == 2
    assert "cookie" not in far.asked[1].headers


def test_an_answer_may_be_empty_and_as_long_as_the_limit(tmp_path: Path, far: Backend) -> None:
    desk = Desk(tmp_path, far, {"ask": NO_PARAMETERS})
    far.will(says(b"", 204))
    assert desk.call("ask", "a").value == {}
    far.will(says(b'{"sentence": "Hi."}'.ljust(ANSWER_LIMIT)))
    assert desk.call("ask", "b").sentence == "Hi."


# -- the configuration ----------------------------------------------------------------------------------------------
OK = {"description": "Do."}


@pytest.mark.parametrize(
    ("name", "entry", "says_what"),
    [
        ("doIt", {}, "needs a description"),
        ("do it", OK, "a name has letters"),
        ("doIt", {**OK, "path": "x"}, "path 'x'"),
        ("doIt", {**OK, "path": "/{tim}", "parameters": {"time": {}}}, "did you mean time?"),
        ("doIt", {**OK, "arguments": {"a": "b"}}, "arguments: no argument a"),
        ("doIt", {**OK, "arguments": {"a": "b"}, "parameters": {"a": {}, "b": {}}}, "under one name"),
        ("doIt", {**OK, "confirm": "{day}?"}, "confirm: no argument day"),
        ("doIt", {**OK, "sentence": "{a"}, "write {name}"),
        ("doIt", {**OK, "sentence": "{c}", "result": {"b": "b"}}, "sentence: c is neither"),
        ("doIt", {**OK, "required": ("a",)}, "required: no parameter 'a'"),
        ("checkAvailability", {"required": ("date",)}, "required goes with parameters"),
        ("doIt", {**OK, "parameters": {"a": {"type": "array"}}}, "type 'array'"),
        ("doIt", {**OK, "parameters": {"a": {"pattern": "("}}}, "pattern"),
        ("doIt", {**OK, "parameters": {"a": {"minimum": 1}}}, "does not go with its type"),
        ("doIt", {**OK, "url": "ftp://x"}, "written like https"),
        ("doIt", {**OK, "url": "http://example.org"}, "use https"),
        ("doIt", {**OK, "url": "http://8.8.8.8"}, "use https"),
        ("doIt", {**OK, "url": "https://ann:pw@example.org"}, "a password stands in its url"),
        ("doIt", {**OK, "url": "http://[::1"}, "no address"),
        ("doIt", {**OK, "url": "${NOWHERE}"}, "NOWHERE is not set"),
        ("doIt", {**OK, "headers": {"X-Key": "${NOWHERE}"}}, "NOWHERE is not set"),
        ("doIt", {**OK, "headers": {"authorization": "Bearer abc"}}, "a secret never stands in this file"),
        ("doIt", {**OK, "headers": {"Content-Length": "1"}}, "not a header that can be set"),
        ("doIt", {**OK, "headers": {"X-Key": "${BROKEN}"}}, "characters that no header has"),
    ],
)
def test_an_entry_that_cannot_be_used(tmp_path: Path, far: Backend, name: str, entry: Any, says_what: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Desk(tmp_path, far, {name: entry}, BROKEN="pri\nvate")
    assert f"[functions.{name}]: " in str(raised.value)
    assert says_what in str(raised.value)
    assert not {word for word in ("abc", "pw", "vate") if word in str(raised.value)}


def test_two_entries_for_one_function(tmp_path: Path, far: Backend) -> None:
    with pytest.raises(ConfigError, match="bookAppointment"):
        Desk(tmp_path, far, {"bookAppointment": {}, "scheduleAppointment": {}})


@pytest.mark.parametrize(
    "url", ["http://192.168.1.7:8080/api/", "http://nas.local", "http://nas", "http://[::1]:1", "https://example.org"]
)
def test_addresses_that_can_be_used(tmp_path: Path, far: Backend, url: str) -> None:
    spec = Desk(tmp_path, far, {"doIt": {**OK, "url": url, "path": "/x"}}).registry.get("doIt")
    assert spec.source == f"POST {url.rstrip('/')}/x"


def test_no_backend_url(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs url, or BACKEND_URL"):
        Registry.load([], Backends({"checkAvailability": BackendSection()}, Secrets({}, tmp_path / "none")))


def test_a_secret_of_a_header_is_found_in_all_three_places(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_KEY=from-file\nB_KEY=from-file\nC_KEY=from-file\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "c_key").write_text("from-credential\n")
    (tmp_path / "credentials" / "image").write_bytes(b"\xff\xfe")
    secrets = Secrets({"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"), "B_KEY": "from-env"}, tmp_path / ".env")
    found = [secrets.get(name) for name in ("A_KEY", "B_KEY", "C_KEY")]
    assert found == ["from-file", "from-env", "from-credential"]
    assert secrets.names() == ()
    assert "from" not in repr(secrets)
