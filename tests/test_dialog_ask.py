"""`wakeline ask`: one conversation over several commands, from a pipe, and what is left of it afterwards."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.dialog.forms import Forms
from device.dialog.keeping import frozen, thawed
from device.dialog.talk import Open, Person, State, Talk
from device.talks import Talks
from tests.dialogues.house import BERLIN, FORMS, House
from tests.offline_commands import Done, Home

NOW = datetime(2026, 12, 1, 15, 20, tzinfo=ZoneInfo(BERLIN))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with mock.patch("sys.stdin", io.StringIO()):
        yield Home(tmp_path)


def _ask(home: Home, *texts: str, session: str = "desk") -> Done:
    return home.here("ask", "--session", session, *texts)


def _kept(home: Home, session: str = "desk") -> Path:
    return home.state / "talks" / f"{session}.json"


def test_a_talk_goes_on_from_command_to_command(home: Home) -> None:
    assert _ask(home, "book a table").said == ["For which day?"]
    assert _ask(home, "what did you say").said == ["For which day?"]
    assert _ask(home, "tomorrow").said == ["At what time?"]
    (booked,) = _ask(home, "at eight p.m.").said
    assert booked.startswith("You're booked for tomorrow at 8 PM")
    assert _ask(home, "purple monkey").said[0].startswith("I didn't get that.")
    assert _ask(home, "purple monkey").said == ["I still didn't get that. Shall I call the front desk?"]
    assert _ask(home, "no").said == ["All right, I won't call."]


def test_two_sessions_and_commands_without_one_do_not_mix(home: Home) -> None:
    assert _ask(home, "set a timer", session="a").said == ["For how long?"]
    assert _ask(home, "ten minutes", session="b").said[0].startswith("I didn't get that.")
    assert home.here("ask", "ten minutes").said[0].startswith("I didn't get that.")
    assert _ask(home, "ten minutes", session="a").said == ["Timer set for 10 minutes."]


def test_a_kept_talk_is_for_its_owner_and_is_wiped_when_it_is_old(home: Home) -> None:
    _ask(home, "set a timer")
    path = _kept(home)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)] == [0o600, 0o700]
    os.utime(path, (path.stat().st_mtime - 121,) * 2)
    _ask(home, "what time is it", session="other")
    assert not path.exists()
    assert _ask(home, "ten minutes").said[0].startswith("I didn't get that.")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version":1}', b"\xff\x00", b"{}" * 9])
def test_a_broken_talk_is_a_new_talk(home: Home, data: bytes) -> None:
    _ask(home, "set a timer")
    _kept(home).write_bytes(data)
    end = _ask(home, "what time is it")
    assert (end.status, end.err, len(end.said)) == (0, "", 1)


def test_turns_come_line_by_line_from_a_pipe(home: Home) -> None:
    with mock.patch("sys.stdin", io.StringIO("set a timer\n\nten minutes\ncancel the timer")):
        end = home.here("ask")
    assert end.said == ["For how long?", "Timer set for 10 minutes.", "Timer cancelled."]


def test_a_name_that_is_none_is_said(home: Home) -> None:
    for name in ("../x", "", "a b", "x" * 41, "-x", "ü"):
        end = home.here("ask", f"--session={name}", "hello")
        assert (end.status, "is no name" in end.err) == (2, True), name
    assert not home.state.exists()


@pytest.mark.service
def test_two_commands_take_turns(tmp_path: Path) -> None:
    """The second one reads what the first has written, also when both begin at once."""
    ends = Home(tmp_path).run_all([("ask", "--session", "x", "set a timer for ten minutes")] * 3)
    assert [end.said for end in ends] == [["Timer set for 10 minutes."]] * 3


# -- the format ---------------------------------------------------------------------------------------------------
_FORM = st.builds(
    Open,
    st.sampled_from(FORMS),
    st.just({}),
    st.sampled_from(["", "am", "pm"]),
    st.frozensets(st.sampled_from(["name", "code"])),
    st.sampled_from([None, State.CHANGING, State.FAILED]),
)
_TALK = st.builds(
    Talk,
    st.sampled_from(State),
    st.lists(_FORM, min_size=1, max_size=3).map(tuple),
    st.integers(0, 1),
    st.integers(0, 1),
    st.none() | st.just(Person("front desk", "asked-for")),
    st.none() | _FORM,
)


@settings(max_examples=60, deadline=None)
@given(_TALK, st.text(max_size=30))
def test_what_is_kept_comes_back(talk: Talk, heard: str) -> None:
    assert thawed(frozen(talk, NOW, heard), Forms(FORMS)) == (talk, NOW, heard)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_are_an_error(data: bytes) -> None:
    assert thawed(data, Forms(FORMS)) is None


def test_a_talk_about_a_function_that_is_gone_is_no_talk() -> None:
    data = frozen(Talk(State.ASKING, (Open(FORMS[2]),)), NOW, "")
    assert thawed(data, Forms(FORMS[:2])) is None


def test_a_talk_that_was_kept_too_long_is_forgotten_by_the_dialog_too() -> None:
    clock = [NOW]
    dialog = House(lambda: clock[0]).dialog(callees=[])
    dialog.restore("s", frozen(Talk(State.ASKING, (Open(FORMS[2]),)), NOW, ""))
    assert dialog.judge("ten minutes", "s")
    clock[0] += timedelta(seconds=121)
    assert not dialog.judge("ten minutes", "s")


def test_a_talk_from_the_future_is_wiped(tmp_path: Path) -> None:
    talks = Talks(tmp_path / "talks", 120)
    with talks.locked():
        talks.save("a", b"x")
    path = tmp_path / "talks" / "a.json"
    os.utime(path, (path.stat().st_mtime + 3600,) * 2)
    with talks.locked():
        assert talks.load("a") is None


# -- late results -------------------------------------------------------------------------------------------------
_SLOW = '''
"""Takes longer than its budget: it ends once it is recorded as running."""
import asyncio

from device.functions.context import Context
from device.functions.registry import function

def running(ctx: Context) -> bool:
    with ctx.store.reading() as store:
        call = store.function_call(ctx.call_id)
    return call is not None and call.state == "running"

@function(effect=True, budget_s=0.01)
async def bake_cake(ctx: Context) -> str:
    """Bake a cake."""
    while not running(ctx):
        await asyncio.sleep(0)
    return "The cake is done."
'''


def test_what_is_still_working_is_waited_for_and_told_once(home: Home) -> None:
    functions = home.folder / "functions"
    functions.mkdir()
    (functions / "bake.py").write_text(_SLOW, "utf-8")
    (functions / "bake.yaml").write_text("intents: {bakeCake: {sentences: [bake a cake]}}", "utf-8")
    (home.folder / "wakeline.toml").write_text("", "utf-8")
    end = home.here("--config", str(home.folder / "wakeline.toml"), "ask", "bake a cake", "what time is it")
    working, time, late = end.said
    assert working == "I'm still working on that. I'll tell you as soon as it is done."
    assert time.startswith("It's ")
    assert late == "The cake is done."
