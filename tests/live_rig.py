"""Owns a running `wakeline run` for tests: its process, its room, what it records, what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from audio.events import ReplyFinished
from audio.frames import Pcm
from audio.settings import EndpointSettings
from device.config import Config
from device.control import ControlError, send
from device.demo import Line, Room, script, steps
from device.functions.sqlite_store import NAME, SqliteStore
from device.functions.store import Appointment, Timer
from device.record import files, read
from device.session import play
from device.settings import TtsSection
from models.engines import Synthesizer
from tests.virtual_card import VirtualCard, wait_until

WAKELINE = (sys.executable, "-m", "device.cli")
ROOT = Path(__file__).parent.parent
START_S = 30.0
FOLLOW_UP_MS = 1800
Entry = dict[str, Any]


@lru_cache(maxsize=1)
def _voices() -> dict[str, Synthesizer]:
    from models.tts_hibari import HibariSynthesizer
    from models.tts_piper import PiperSynthesizer

    voices: dict[str, Synthesizer] = {"joe": PiperSynthesizer(), "hibari": HibariSynthesizer()}
    for voice in voices.values():
        voice.load()
    return voices


@lru_cache(maxsize=64)
def spoken(voice: str, *say: str | int) -> Pcm:
    """Texts and pauses (ms) in that voice."""
    return steps([Line("", voice, "idle", 0, say)], _voices())[0].pcm


def visit() -> list[tuple[str, Pcm]]:
    """The lines of `wakeline demo`: after what each is said, and its sound with the silence before it.

    Idle is it when the follow-up window is over, of which no event tells: the visitor is silent for so long.
    """
    wait_ms = {"idle": FOLLOW_UP_MS + 300, "asked": 0, "ringing": 0}
    return [(line.when, spoken(line.voice, wait_ms[line.when] + line.pause_ms, *line.say)) for line in script("visit")]


def offline_answers(folder: Path) -> list[str]:
    """What the same visit is answered by the offline shell, the one of `wakeline demo`."""
    folder.mkdir()
    config = Config(
        tts=TtsSection(engine="hibari"), endpoint=EndpointSettings(follow_up_ms=FOLLOW_UP_MS), timezone="UTC"
    )
    room = Room(steps(script("visit"), _voices()))
    played = asyncio.run(play(config, room, database=folder / NAME, start=datetime.now(UTC)))
    return [event.heard for event in played.trace.events if isinstance(event, ReplyFinished)]


def transcribed(pcm: Pcm) -> str:
    """What a listener understands of it."""
    from models.stt_moonshine import MoonshineRecognizer

    recognizer = MoonshineRecognizer()
    recognizer.load()
    recognizer.start()
    recognizer.feed(pcm)
    return recognizer.finish().text


CODE = re.compile(r" Your code is( \d){4}\.")
"""Of a booking: it follows from the microsecond in which that was made."""


def without_the_time(said: str) -> str:
    """Two visits take place at different times of the day, and their bookings have other codes."""
    return CODE.sub("", re.sub(r"\d+:\d\d", "TIME", said).replace(" AM", " PM"))


class Appliance:
    """`wakeline run` in a process group of its own, with folders of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str], **settings: str) -> None:
        self.folder = folder
        self.env = {
            **environment,
            "WAKELINE_PATHS__STATE_DIR": str(folder / "state"),
            "WAKELINE_PATHS__RUNTIME_DIR": str(folder / "run"),
            "WAKELINE_PRIVACY__RECORD_TEXT": "true",
            "WAKELINE_WEB__PRIVATE_PORT": "0",
            "WAKELINE_TTS__ENGINE": "hibari",
            "WAKELINE_ENDPOINT__FOLLOW_UP_MS": str(FOLLOW_UP_MS),
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
            **{f"WAKELINE_{key.upper()}": value for key, value in settings.items()},
        }
        self._out = folder / "out.txt"
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(
                [*WAKELINE, "--verbose", "run"],
                env=self.env,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._seen: set[int] = set()
        """Every process of ours that was ever there."""

    # -- looking --------------------------------------------------------------------------------------------------
    def events(self, *types: str, after: int = 0) -> list[Entry]:
        """The event record so far, without its first `after` lines."""
        entries = list(read(files(self.folder / "state" / "record")))[after:]
        return [entry for entry in entries if not types or entry["type"] in types]

    @property
    def mark(self) -> int:
        """Where the record ends now; for `after`."""
        return len(self.events())

    def wait_for(
        self, *types: str, after: int = 0, timeout: float = START_S, where: Callable[[Entry], bool] = lambda _: True
    ) -> Entry:
        """The first event of one of these types that was recorded after the mark."""
        found: list[Entry] = []

        def look() -> bool:
            found[:] = [entry for entry in self.events(*types, after=after) if where(entry)]
            return bool(found) or self.process.poll() is not None

        try:
            wait_until(look, timeout, " or ".join(types))
        except AssertionError as error:
            raise AssertionError(f"{error}; {self._last()}") from None
        assert found, f"wakeline ended with {self.process.poll()}; {self._last()}"
        return found[0]

    def _last(self) -> str:
        events = "\n".join(map(str, self.events()[-20:]))
        return f"the last it recorded and printed:\n{events}\n{self.output[-2000:]}"

    def wait_to_hear(self, after: int = 0) -> None:
        self.wait_for("MicrophoneOpened", after=after)

    @property
    def output(self) -> str:
        return self._out.read_text()

    def said(self, after: int = 0) -> list[str]:
        """What was heard of each reply, in order."""
        return [entry["heard"] for entry in self.events("ReplyFinished", "ReplyCut", after=after)]

    def heard(self) -> list[str]:
        return [entry["text"] for entry in self.events("FinalText")]

    def appointments(self) -> Sequence[Appointment]:
        store = SqliteStore(self.folder / "state" / NAME)
        try:
            with store.reading() as reading:
                return reading.appointments()
        finally:
            store.close()

    def unheard(self) -> list[str]:
        store = SqliteStore(self.folder / "state" / NAME)
        try:
            return [waiting.text for waiting in store.unheard()]
        finally:
            store.close()

    def timers(self) -> Sequence[Timer]:
        """Those that run or ring."""
        store = SqliteStore(self.folder / "state" / NAME)
        try:
            return store.timers()
        finally:
            store.close()

    # -- doing ----------------------------------------------------------------------------------------------------
    def command(self, *arguments: str) -> str:
        """Another `wakeline` command beside it, as a person types it."""
        done = subprocess.run(
            [*WAKELINE, *arguments], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, do: str, **more: str) -> dict[str, Any]:
        """The control socket, without starting a process."""
        return send(self.folder / "run" / "control", {"do": do, **more})

    def status(self) -> dict[str, Any]:
        with contextlib.suppress(ControlError):
            return self.ask("status")
        return {}

    def wait_for_state(self, state: str, timeout: float = START_S) -> None:
        wait_until(lambda: self.status().get("state") == state, timeout, f"state {state}: {self.status()}")

    @property
    def ears(self) -> int:
        """The process id of the present ears."""
        wait_until(lambda: bool(self.status().get("ears")), START_S, "there are ears")
        return int(self.status()["ears"])

    def stop_the_ring(self, card: VirtualCard) -> None:
        """Said up to three times, as a person does: over a ring a first word is sometimes not heard."""
        for _ in range(3):
            at = self.request(card, "Stop the timer.")
            if self.wait_for("AlertCleared", "TurnEnded", after=at)["type"] == "AlertCleared":
                return
        raise AssertionError(f"it rings on; {self._last()}")

    def request(self, card: VirtualCard, text: str, voice: str = "hibari") -> int:
        """Push to talk, say it; returns the mark before it."""
        mark = self.mark
        self.ask("press")
        self.wait_for("TurnStarted", after=mark)
        card.play(spoken(voice, text))
        self.ask("release")
        return mark

    def strike(self, number: int = signal.SIGKILL) -> datetime:
        """Kill (or stop) the present ears; when that was."""
        pid = self.ears
        os.kill(pid, number)
        return datetime.now(UTC)

    def recovered(self, since: datetime, mark: int) -> float:
        """Seconds until it listened again."""
        again = self.wait_for("MicrophoneOpened", after=mark, where=lambda entry: entry["epoch"] > self.epoch_at(mark))
        return (datetime.fromisoformat(again["wall"]) - since).total_seconds()

    def epoch_at(self, mark: int) -> int:
        return int(self.events()[mark - 1]["epoch"]) if mark else 0

    def play_visit(self, card: VirtualCard) -> None:
        """Say the lines of the demo, each when the appliance is where the visitor waits for it."""
        mark = 0
        for when, sound in visit():
            self.wait_to_be(when, mark)
            mark = self.mark
            card.play(sound)

    def wait_to_be(self, when: str, after: int) -> None:
        """`when` as in visits.toml: idle, asked or ringing."""
        if when == "ringing":
            self.wait_for("AlertRaised", after=after, timeout=40)
            self.wait_for("ReplyFinished", after=after, where=lambda e: e["reply"].startswith("timer"))
        elif after:
            self.wait_for("ReplyFinished", after=after)
        else:
            self.wait_to_hear()

    # -- ending ---------------------------------------------------------------------------------------------------
    def processes(self) -> list[int]:
        """The app and all its descendants that live at this moment."""
        living = _tree(self.process.pid) if self.process.poll() is None else []
        self._seen |= set(living)
        return living

    def left_over(self) -> list[int]:
        """Processes of ours that are still there."""
        return [pid for pid in self._seen if _alive(pid)]

    def end(self, number: int = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Signal it - SIGINT to the whole group, as a terminal does - and wait; the exit status."""
        self.processes()
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def close(self) -> None:
        if self.process.poll() is None:
            self.processes()
            self.process.kill()
            self.process.wait(10)
        wait_until(lambda: not self.left_over(), 10, f"nothing is left: {self.left_over()}")


@contextlib.contextmanager
def appliance(folder: Path, environment: Mapping[str, str], **settings: str) -> Iterator[Appliance]:
    folder.mkdir(parents=True, exist_ok=True)
    running = Appliance(folder, environment, **settings)
    try:
        yield running
    finally:
        running.close()


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
