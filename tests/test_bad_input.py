"""Whatever is wrong with a file - recording, model, configuration, database - is handled or said in one line with a
stable code: never a traceback, never a lost booking. Every case goes through the command line."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from audio.frames import RATE
from audio.resample import resample
from device.functions.sqlite_store import NAME
from models.catalog import CONTENTS, catalog, digest, find
from tests.live_rig import Appliance, appliance, spoken
from tests.offline_commands import Done, Home
from tests.test_service_processes import no_card
from tests.test_service_web import SECRET, booking, post, public_port
from tests.test_wav import encode, riff

pytestmark = pytest.mark.service
ROOT = str(Path(__file__).parent.parent)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# -- recordings -----------------------------------------------------------------------------------------------------
def recording(rate: int = RATE, bits: int = 16, kind: int = 1, channels: int = 1) -> bytes:
    pcm = resample(spoken("hibari", "What time is it?"), RATE, rate) / 32768
    return riff(encode(np.repeat(pcm, channels), kind, bits), kind=kind, bits=bits, rate=rate, channels=channels)


HEARD: dict[str, Callable[[], bytes]] = {
    "8-bit": lambda: recording(bits=8),
    "24-bit": lambda: recording(bits=24),
    "float": lambda: recording(kind=3, bits=32),
    "stereo": lambda: recording(channels=2),
    "44.1 kHz": lambda: recording(44_100),
    "48 kHz, 24-bit, stereo": lambda: recording(48_000, bits=24, channels=2),
    "cut off in its last second": lambda: recording()[:-2_001],
}
REFUSED: dict[str, tuple[Callable[[], bytes | None], str]] = {
    "missing": (lambda: None, "wav-missing"),
    "empty": (lambda: b"", "wav-empty"),
    "no samples": (lambda: riff(b""), "wav-empty"),
    "cut off in its header": (lambda: riff(bytes(8))[:30], "wav-truncated"),
    "cut off before its samples": (lambda: riff(bytes(8))[:40], "wav-truncated"),
    "MP3": (lambda: b"\xff\xfb\x90\x64" + bytes(413), "wav-format"),
    "MP3 with a tag": (lambda: b"ID3\x04" + bytes(500), "wav-format"),
    "a text": (lambda: b"What time is it?\n", "wav-format"),
    "A-law": (lambda: riff(bytes(800), kind=6, bits=8), "wav-format"),
}


@pytest.mark.models
@pytest.mark.parametrize("case", HEARD)
def test_a_recording_of_any_kind_is_heard(home: Home, case: str) -> None:
    (home.folder / "in.wav").write_bytes(HEARD[case]())
    (home.folder / "hibari.toml").write_text('[tts]\nengine = "hibari"\n')
    end = home.here("--config", "hibari.toml", "replay", "in.wav", "--press")
    assert (end.status, end.err) == (0, "")
    assert end.said[0].startswith("It's ")


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_recording_is_refused(home: Home, case: str) -> None:
    make, code = REFUSED[case]
    if (raw := make()) is not None:
        (home.folder / "in.wav").write_bytes(raw)
    home.here("replay", "in.wav").fault(code, "in.wav")


# -- models ---------------------------------------------------------------------------------------------------------
VOSK = "vosk-small-en"


def model(home: Home, case: str) -> None:
    """A folder as a download leaves it, of which something is wrong."""
    if case == "missing":
        return
    folder = home.state / "models" / find(VOSK).file
    (folder / "am").mkdir(parents=True)
    file = folder / "am" / "final.mdl"
    file.write_bytes(bytes(1000))
    entry = [file.stat().st_size, digest(file)]
    archive = "0" * 64 if case == "of another version" else find(VOSK).sha256
    (folder / CONTENTS).write_text(json.dumps({"archive": archive, "files": {"am/final.mdl": entry}}))
    if case == "truncated":
        file.write_bytes(bytes(999))
    elif case == "of a wrong checksum":
        file.write_bytes(b"\1" * 1000)
    elif case == "not downloaded by us":
        (folder / CONTENTS).write_text("{}")


@pytest.mark.parametrize(
    "case", ["missing", "truncated", "of a wrong checksum", "of another version", "not downloaded by us"]
)
def test_a_model_that_is_not_whole(home: Home, case: str) -> None:
    model(home, case)
    end = home.here("models", "verify", VOSK)
    assert (end.status, end.err) == (1, "")
    (line,) = end.out.splitlines()
    assert line.startswith(f"damaged  {VOSK}: ")
    assert f"wakeline models download {VOSK}" in line


@pytest.mark.parametrize("case", ["missing", "truncated", "of a wrong checksum"])
def test_a_model_of_a_package_that_is_not_whole(home: Home, case: str) -> None:
    wanted = next(model for model in catalog().values() if not model.url)
    package = home.folder / "packages" / wanted.package
    file = package / wanted.file
    file.parent.mkdir(parents=True)
    (package / "__init__.py").touch()
    if case != "missing":
        file.write_bytes(bytes(wanted.bytes - (case == "truncated")))
    end = home.run("models", "verify", wanted.name, PYTHONPATH=os.pathsep.join((str(home.folder / "packages"), ROOT)))
    assert (end.status, end.err) == (1, "")
    (line,) = end.out.splitlines()
    assert line.startswith(f"damaged  {wanted.name}: {file} ")
    assert wanted.remedy in line


@pytest.mark.models
@pytest.mark.parametrize("case", ["missing", "truncated", "of a wrong checksum"])
def test_without_its_model_the_appliance_says_so_once_and_ends(home: Home, case: str) -> None:
    pytest.importorskip("vosk")
    model(home, case)
    end = home.run("run", WAKELINE_STT__ENGINE="vosk", WAKELINE_WEB__ENABLED="false", PULSE_SERVER="unix:/nowhere")
    assert end.status == 2, end
    assert "Traceback" not in end.err + end.out
    assert end.err.count("model-missing: ") == 1, end.err
    assert "wakeline models download" in end.err or "vosk-model-small-en" in end.err


# -- configuration --------------------------------------------------------------------------------------------------
SETTINGS = {
    "unknown key": ("[audio]\nchanel = 1", "config-unknown-key", "did you mean channel?"),
    "unknown section": ("[audoi]\nchannel = 1", "config-unknown-key", "audoi"),
    "a text for a number": ("[audio]\nchannel = 'left'", "config-invalid", "audio.channel"),
    "a number for a list": ("[wake]\nwords = 5", "config-invalid", "wake.words"),
    "a table for a text": ("[stt.engine]\nname = 'vosk'", "config-invalid", "stt.engine"),
    "not one of them": ("[tts]\nengine = 'parrot'", "config-invalid", "tts.engine"),
    "negative": ("[audio]\nchannel = -2", "config-invalid", "audio.channel"),
    "negative length": ("[endpoint]\nsilence_ms = -5", "config-invalid", "silence_ms"),
    "nan": ("[gate]\nmargin_db = nan", "config-invalid", "gate.margin_db"),
    "nan in a section": ("[tts]\nspeed = nan", "config-invalid", "tts.speed"),
    "infinite": ("[dialog]\nwipe_s = inf", "config-invalid", "dialog.wipe_s"),
    "huge": ("[dialog]\nwipe_s = 1e300", "config-invalid", "dialog.wipe_s"),
    "huge length": ("[endpoint]\nsilence_ms = 1000000000000000000000", "config-invalid", "silence_ms"),
    "deafening": ("[reply]\nvolume_db = 1e9", "config-invalid", "volume_db"),
    "no TOML": ("[audio", "config-unreadable", "bad.toml"),
    "no text": ("\0\1\2", "config-unreadable", "bad.toml"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_configuration_that_cannot_be_meant(home: Home, case: str) -> None:
    text, code, words = SETTINGS[case]
    (home.folder / "bad.toml").write_text(text)
    home.here("--config", "bad.toml", "ask", "what time is it").fault(code, "bad.toml", words)
    assert not home.state.exists()


def test_bytes_that_are_no_configuration(home: Home) -> None:
    (home.folder / "bad.toml").write_bytes(b"\xff\xfe[audio]")
    home.here("--config", "bad.toml", "ask", "hello").fault("config-unreadable", "bad.toml")


# -- the database ---------------------------------------------------------------------------------------------------
BOOK = ("ask", "book an appointment for two tomorrow at 4 p.m.")


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    other = sqlite3.connect(database, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        other.close()


@contextlib.contextmanager
def read_only(database: Path) -> Iterator[None]:
    database.chmod(0o444)
    database.parent.chmod(0o555)
    try:
        yield
    finally:
        database.parent.chmod(0o755)
        database.chmod(0o644)


@contextlib.contextmanager
def corrupt(database: Path) -> Iterator[None]:
    whole = database.read_bytes()
    database.write_bytes(whole[:2_000] + np.random.default_rng(1).bytes(len(whole) - 2_000))
    try:
        yield
    finally:
        database.write_bytes(whole)


@contextlib.contextmanager
def no_database(database: Path) -> Iterator[None]:
    whole = database.read_bytes()
    database.write_bytes(np.random.default_rng(3).bytes(8192))
    try:
        yield
    finally:
        database.write_bytes(whole)


@contextlib.contextmanager
def full(database: Path) -> Iterator[None]:
    """No file may grow: what a full disk answers."""
    yield


SPOILED = {"locked": locked, "read-only": read_only, "corrupt": corrupt, "no database": no_database, "disk full": full}


def run_on(home: Home, case: str, *arguments: str) -> Done:
    """The command as a process on that database, also as root."""
    before = []
    if case == "read-only" and os.geteuid() == 0:
        before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    if case == "disk full":
        before = ["prlimit", "--fsize=4096"]
    command = [*before, sys.executable, "-m", "device.cli", *arguments]
    environment = home._environ({"PULSE_SERVER": "unix:/nowhere", "WAKELINE_WEB__ENABLED": "false"})
    done = subprocess.run(
        command, cwd=home.folder, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("door", ["ask", "run"])
@pytest.mark.parametrize("case", SPOILED)
def test_a_database_that_cannot_be_used_is_one_line_and_loses_nothing(home: Home, case: str, door: str) -> None:
    tool = {"read-only": "setpriv", "disk full": "prlimit"}.get(case)
    if tool is not None and not shutil.which(tool):
        pytest.skip(f"{tool} is missing (util-linux)")
    first = home.here("ask", "book an appointment for four tomorrow at 2 p.m.")
    assert "booked" in first.said[0]
    with SPOILED[case](home.database):
        end = run_on(home, case, *(BOOK if door == "ask" else ("run",)))
    assert end.status == 2, end
    assert "Traceback" not in end.err
    assert end.err.splitlines()[-1].startswith("wakeline: store-failed: "), end.err
    assert not [said for said in end.said if "booked" in said], "what is not in the book is not said to be"
    assert "booked" in home.here(*BOOK).said[0]
    assert len(home.here("book", "list").out.splitlines()) == 2


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("spoiled")
    environment = no_card(folder) | {"VAPI_SERVER_SECRET": SECRET, "PORT": ""}
    settings = {"web__port": "0", "web__private_port": "0", "book__max_days_ahead": "600"}
    with appliance(folder / "a", environment, **settings) as running:
        running.wait_for("EarsReady")
        yield running


@contextlib.contextmanager
def growing_forbidden(running: Appliance) -> Iterator[None]:
    """The disk of the running appliance is full from now on."""
    _, most = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, most))
    try:
        yield
    finally:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.models
@pytest.mark.parametrize(("case", "hour"), [("locked", 10), ("disk full", 11)])
def test_a_webhook_is_told_and_its_booking_is_made_once_all_is_well(running: Appliance, case: str, hour: int) -> None:
    port = public_port(running)
    body = booking(f"{datetime.now(UTC).year + 1}-03-03 {hour}:00").replace(b"t-1", f"t-{hour}".encode())
    spoiled = growing_forbidden(running) if case == "disk full" else locked(running.folder / "state" / NAME)
    with spoiled:
        status, told = post(port, body)
        assert (status == 503 and b"store-failed" in told) or b"can't reach my book" in told, (status, told)
        assert running.status()["epoch"] == 1
    before = len(running.appointments())
    for _ in range(2):
        status, told = post(port, body)
        assert status == 200
        assert f"{hour}:00".encode() in told, told
    assert len(running.appointments()) == before + 1
    assert running.process.poll() is None
    assert "Traceback" not in running.output
