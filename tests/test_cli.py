"""Every command as a process: what it prints, how it ends, and one clear line for whatever a person gets wrong."""

from __future__ import annotations

import csv
import io
import re
import shutil
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import icalendar
import numpy as np
import pytest

from audio.frames import RATE, ms
from audio.wav import read_wav, write_wav
from device.bench.speech import assemble, one_breath, speak
from tests.offline_commands import Home

pytestmark = pytest.mark.service

COMMANDS = {*"run demo replay ask say press release mute unmute status call devices config book".split()}  # noqa: SIM905


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# -- help -----------------------------------------------------------------------------------------------------------
def test_every_command_has_help(home: Home) -> None:
    listed = re.findall(r"^    (\w+) ", home.run("--help").out, re.MULTILINE)
    assert set(listed) >= COMMANDS
    commands = [(), *((name,) for name in listed), *(("book", name) for name in ("list", "cancel", "export"))]
    for command in commands:
        end = home.here(*command, "--help")
        assert (end.status, end.err) == (0, ""), command
        assert end.out.startswith(f"usage: wakeline {' '.join(command)}".rstrip()), command
    assert not home.state.exists(), "help changes nothing"


def test_what_is_no_command_or_argument_is_said(home: Home) -> None:
    wrong = [
        (("dance",), "dance"),
        (("call", "front desk", "--via", "pigeon"), "pigeon"),
        (("book", "cancel", "x"), "'x'"),
        (("replay", "a.wav", "--slowdown", "nan"), "nan"),
    ]
    for command, word in wrong:
        end = home.here(*command)
        assert end.status == 2, command
        assert word in end.err.splitlines()[-1], command
        assert "Traceback" not in end.err


# -- ask and the book -----------------------------------------------------------------------------------------------
def test_a_booking_in_text_is_in_the_book_until_it_is_cancelled(home: Home) -> None:
    end = home.run("ask", "what time is it", "book a table for four tomorrow", "at eight p.m.")
    assert (end.status, end.err) == (0, "")
    heard = [line for line in end.out.splitlines() if line.startswith("heard: ")]
    assert heard == ["heard: what time is it", "heard: book a table for four tomorrow", "heard: at eight p.m."]
    assert re.fullmatch(r"It's 1?\d(:\d\d)? [AP]M\.", end.said[0])
    assert end.said[1] == "At what time?"
    assert re.fullmatch(r"You're booked for tomorrow at 8 PM, for 4\. Your code is \d \d \d \d\.", end.said[2])
    day = datetime.now(ZoneInfo("Europe/Vienna")).date() + timedelta(days=1)

    listed, table, calendar = home.run_all(
        [
            ("book", "list"),
            ("book", "export", "--format", "csv"),
            ("book", "export", "--format", "ics", "--out", "b.ics"),
        ]
    )
    assert [word in listed.out for word in (f"{day} 20:00", "30 min", "for 4")] == [True] * 3
    (row,) = csv.DictReader(io.StringIO(table.out))
    assert (row["date"], row["time"], row["people"], row["state"]) == (str(day), "20:00", "4", "booked")
    assert (calendar.out, calendar.err) == ("", "1 appointments in b.ics\n")
    (event,) = icalendar.Calendar.from_ical((home.folder / "b.ics").read_bytes()).walk("VEVENT")
    starts = event.decoded("DTSTART")
    assert f"{starts.astimezone(ZoneInfo('Europe/Vienna')):%Y-%m-%d %H:%M}" == f"{day} 20:00"

    number = listed.out.split()[0]
    assert home.run("book", "cancel", number).out == f"cancelled: {number}, {day:%a %Y-%m-%d} 20:00\n"
    again, unknown, empty, everything = home.run_all(
        [("book", "cancel", number), ("book", "cancel", "77"), ("book", "list"), ("book", "list", "--all")]
    )
    assert (again.status, "was cancelled before" in again.out) == (0, True)
    assert (unknown.status, unknown.err) == (1, "there is no appointment 77: see `wakeline book list`\n")
    assert (empty.status, empty.out, empty.err) == (0, "", "no appointments from today on\n")
    assert everything.out.rstrip().endswith("cancelled")


# -- configuration --------------------------------------------------------------------------------------------------
def test_the_printed_configuration_is_one(home: Home) -> None:
    first = home.run("config", WAKELINE_AUDIO__INPUT="USB", WAKELINE_CALLS__RING_S="33")
    values = tomllib.loads(first.out)
    assert (values["audio"]["input"], values["calls"]["ring_s"]) == ("USB", 33)
    assert set(values) >= {"timezone", "wake", "stt", "tts", "gate", "endpoint", "reply", "book", "destinations"}
    (home.folder / "wakeline.toml").write_text(first.out)
    again = home.run("--config", "wakeline.toml", "config")
    assert (again.status, again.err) == (0, "")
    functions = again.out.partition("extensions = ")[2].partition("\n")[0]
    assert functions == '"functions"', "beside the file"
    assert {**tomllib.loads(again.out), "paths": 0} == {**values, "paths": 0}


def test_a_secret_is_never_printed(home: Home) -> None:
    end = home.run("config", VAPI_API_KEY="sesame-open")
    assert "VAPI_API_KEY: set" in end.out
    assert "sesame" not in end.out + end.err


def test_a_configuration_that_cannot_be_used_is_one_line_each(home: Home) -> None:
    files = {
        "typo.toml": "[audio]\ninptu = 'USB'\n",
        "wrong.toml": "[calls]\nring_s = 'soon'\n",
        "broken.toml": "[audio\n",
        "zone.toml": "timezone = 'Europe/Wien'\n",
    }
    for name, text in files.items():
        (home.folder / name).write_text(text)
    names = [*files, "nowhere.toml"]
    ends = {name: home.here("--config", name, "ask", "hello") for name in names}
    home.run("--config", "typo.toml", "run").fault(
        "config-unknown-key", "typo.toml: unknown key audio.inptu; did you mean input?"
    )
    ends["wrong.toml"].fault("config-invalid", "wrong.toml: calls.ring_s:")
    ends["broken.toml"].fault("config-unreadable", "broken.toml", "line 1")
    ends["zone.toml"].fault("config-invalid", "Europe/Wien", "look like Europe/Vienna")
    ends["nowhere.toml"].fault("config-missing", "nowhere.toml: no such file")
    assert not home.state.exists()


def test_faults_of_the_environment_are_one_line_and_a_zone_of_the_c_library_is_none(home: Home) -> None:
    home.run("config", WAKELINE_AUDIO="{").fault("config-invalid", "environment", '"audio"')
    assert home.run("ask", "what time is it", TZ="EST5EDT,M3.2.0,M11.1.0").status == 0


# -- sound ----------------------------------------------------------------------------------------------------------
@pytest.mark.models
def test_say_writes_speech(home: Home) -> None:
    assert home.run("say", "It is five o'clock.", "--out", "five.wav").status == 0
    pcm = read_wav(home.folder / "five.wav")
    assert 0.8 < len(pcm) / RATE < 3
    assert np.abs(pcm).max() > 3000
    home.run("say", "...", "--out", "none.wav").fault("nothing-to-say")
    home.here("say", "hello").fault("not-running", "wakeline run")


@pytest.mark.models
def test_a_recording_is_answered_into_files(home: Home) -> None:
    write_wav(home.folder / "in.wav", assemble([one_breath("hibari", "What's the date?")]))
    end = home.run("replay", "in.wav", "--out", "out.wav", "--timeline", "out.svg")
    assert (end.status, end.err) == (0, "")
    assert end.said == [said := end.said[0]]
    assert datetime.now(ZoneInfo("Europe/Vienna")).strftime("%B") in said
    out = read_wav(home.folder / "out.wav")
    assert len(out) > ms(2500)
    assert np.abs(out).max() > 3000
    picture = "".join(ElementTree.parse(home.folder / "out.svg").getroot().itertext())
    assert "in.wav" in picture
    assert not home.state.exists(), "a replay has a book of its own"


@pytest.mark.models
def test_pushed_to_talk_the_whole_recording_is_the_request(home: Home) -> None:
    write_wav(home.folder / "in.wav", assemble([speak("hibari", "Set a timer for five minutes.")]))
    end = home.run("replay", "in.wav", "--press", WAKELINE_TTS__ENGINE="hibari")
    assert end.said == ["Timer set for 5 minutes."]
    without = home.run("replay", "in.wav", "--timeline", "nowhere/a.svg", WAKELINE_TTS__ENGINE="hibari")
    assert without.said == []
    assert "nobody said the wake word; with --press" in without.out
    without.fault("file-failed", "nowhere/a.svg")


def test_what_is_no_recording_is_one_line(home: Home) -> None:
    (home.folder / "empty.wav").touch()
    (home.folder / "text.wav").write_text("What time is it?\n")
    (home.folder / "music.wav").write_bytes(b"ID3\x04" + bytes(400))
    (home.folder / "header.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    wanted = {
        "missing.wav": ("wav-missing", "does not exist"),
        ".": ("wav-missing", "is not a file"),
        "empty.wav": ("wav-empty", "is empty"),
        "text.wav": ("wav-format", "is not a WAV file"),
        "music.wav": ("wav-format", "looks like MP3"),
        "header.wav": ("wav-truncated", "header"),
    }
    home.run("replay", "music.wav").fault(*wanted["music.wav"])
    for name, (code, words) in wanted.items():
        home.here("replay", name).fault(code, name, words)


def test_without_a_card_devices_says_so(home: Home) -> None:
    cards = Path("/proc/asound/cards")
    if cards.is_file() and "[" in cards.read_text():
        pytest.skip("this machine has a sound card")
    end = home.run("devices", PULSE_SERVER="unix:/nowhere")
    advice = "no sound card: plug one in, or look whether a sound server runs\n"
    assert (end.status, end.out, end.err) == (1, "", advice)


# -- the running appliance and calls --------------------------------------------------------------------------------
def test_what_needs_the_running_appliance_says_that_it_does_not_run(home: Home) -> None:
    ends = home.run_all([("status",), ("press",)]) + [home.here(name) for name in ("release", "mute", "unmute")]
    for end in ends:
        end.fault("not-running", "start it with `wakeline run`")


def test_a_call_says_how_it_ended(home: Home) -> None:
    """In text too; the two calls that are answered take their time, so they run side by side."""
    asked, front_desk, vapi, twilio, unknown = home.run_all(
        [
            ("ask", "I want to talk to a person", "yes please"),
            ("call", "the front desk", "--via", "practice"),
            ("call", "front desk", "--via", "vapi"),
            ("call", "front desk", "--via", "twilio"),
            ("call", "Moneypenny"),
        ]
    )
    assert asked.status == front_desk.status == 0
    assert asked.said[:2] == ["Shall I call the front desk?", "Calling the front desk."]
    assert asked.said[2].startswith("This was a practice call, nobody was rung.")
    assert front_desk.out.splitlines()[-1].startswith("call-completed: This was a practice call")
    for end, keys in ((vapi, "VAPI_API_KEY, VAPI_ASSISTANT_ID"), (twilio, "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN")):
        assert end.status == 1
        last = end.out.splitlines()[-1]
        assert last.startswith("link-not-ready: I can't call the front desk, because calls are not set up yet.")
        assert keys in last
    unknown.fault("destination-unknown", "I can call the front desk")


# -- the store ------------------------------------------------------------------------------------------------------
USES = (("ask", "what time is it"), ("book", "list"), ("call", "front desk"))


def test_a_corrupt_database_is_one_line(home: Home) -> None:
    home.state.mkdir()
    home.database.write_bytes(np.random.default_rng(3).bytes(8192))
    for use in USES:
        home.here(*use).fault("store-failed", "wakeline.db is no database")


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is missing (util-linux)")
def test_a_read_only_database_is_one_line(home: Home) -> None:
    assert home.here("ask", "hello").status == 0
    home.database.chmod(0o444)
    home.state.chmod(0o555)
    end = home.run("book", "list", powerless=True)
    end.fault("store-failed", "wakeline.db cannot be opened", "Permission denied")
    home.state.chmod(0o755)


def test_a_place_that_cannot_be_is_one_line(home: Home) -> None:
    home.state.touch()
    for use in USES:
        home.here(*use).fault("store-failed", "wakeline.db cannot be opened")
    home.state.unlink()
    home.run("book", "export", "--out", "nowhere/book.csv").fault("file-failed", "nowhere/book.csv")
