"""The real PortAudio on a virtual card: heard, played, muted, unplugged and back."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.frames import RATE, Pcm
from tests.virtual_card import VirtualCard, missing, virtual_card, wait_until

pytestmark = [
    pytest.mark.sound,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
ROOT = Path(__file__).parent.parent

PRELUDE = """
    import json, sys, time
    import numpy as np
    from audio.frames import RATE, seconds, silence
    from audio.portaudio import SoundCard, SoundCardError, SoundCardLost, list_devices, rescan

    def say(**facts):
        print(json.dumps(facts), flush=True)

    def tone(hz, length):
        return np.rint(8000 * np.sin(2 * np.pi * hz * np.arange(length) / RATE)).astype(np.int16)

    card = SoundCard()
"""


class Child:
    """A script that uses the card in a process of its own; what it says is JSON, one fact a line."""

    def __init__(self, card: VirtualCard, script: str, name: str, **env: str) -> None:
        self._path = card.folder / f"{name}.jsonl"
        code = textwrap.dedent(PRELUDE) + textwrap.dedent(script)
        with self._path.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], env={**card.env, **env}, cwd=ROOT, stdin=subprocess.PIPE, stdout=out
            )

    def facts(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for line in self._path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                merged |= json.loads(line)
        return merged

    def wait_for(self, key: str, timeout: float = 20) -> Any:
        wait_until(lambda: key in self.facts() or self.process.poll() is not None, timeout, f"child says {key}")
        return self.facts()[key]

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualCard]:
    with virtual_card() as card:
        yield card


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[Any]:
    children: list[Child] = []

    def start(card: VirtualCard, script: str, **env: str) -> Child:
        children.append(Child(card, script, request.node.name, **env))
        return children[-1]

    yield start
    for one in children:
        one.close()


def tone(hz: float, seconds: float) -> Pcm:
    return np.rint(8_000 * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE)).astype(np.int16)


def frequency(pcm: Pcm) -> float:
    return float(np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), 1 << 18)).argmax() * RATE / (1 << 18))


def seconds_of(pcm: Pcm, hz: float) -> float:
    """How much of the recording carries that tone, in steps of 10 ms."""
    blocks = pcm[: len(pcm) // 160 * 160].reshape(-1, 160).astype(np.float64)
    strength = np.abs(blocks @ np.exp(-2j * np.pi * hz * np.arange(160) / RATE)) / 80
    return float((strength > 4_000).sum() / 100)


def test_a_tone_in_the_room_is_heard_whole(card: VirtualCard, child: Any, tmp_path: Path) -> None:
    out = tmp_path / "heard.npy"
    player = card.play(tone(440, 9), wait=False)
    script = f"""
        card.open()
        while (frame := card.read(1)) is None or not np.abs(frame).max() > 6000: pass
        say(hearing=True, devices=len(list_devices()))
        start, frames, lost = time.monotonic(), [], 0
        while len(frames) < 500:
            frame = card.read(1)
            lost += card.lost()
            if frame is not None:
                card.write(silence(160))
                frames.append(frame)
        took = time.monotonic() - start
        np.save({str(out)!r}, np.concatenate(frames))
        say(lost=lost, took=took, dry=card.underflow, echo=card.echo_delay)
        card.close()
    """
    heard = child(card, script)
    assert heard.wait_for("lost", 30) == 0
    facts = heard.facts()
    assert facts["took"] == pytest.approx(5, abs=0.25)
    assert 0 < facts["echo"] < RATE // 2
    pcm = np.load(out)
    assert frequency(pcm) == pytest.approx(440, abs=1)
    # A missing or repeated block would bend the phase of the tone where it happened.
    phase = np.unwrap(
        np.angle(pcm.astype(np.float64).reshape(-1, 400) @ np.exp(-2j * np.pi * 440 * np.arange(400) / RATE))
    )
    drift = np.diff(phase)
    assert np.abs(drift - np.median(drift)).max() < 0.2
    player.terminate()


def test_what_is_written_is_heard_and_a_flush_cuts_it(card: VirtualCard, child: Any) -> None:
    recording = card.recording()
    script = """
        card.open()
        sound = tone(600, 3 * RATE).reshape(-1, 160)
        def play(frames):
            for frame in frames:
                while card.read(1) is None: pass
                card.write(frame)
        play(sound[:100])
        play([silence(160)] * 30)
        say(first=True)
        play(tone(900, 3 * RATE).reshape(-1, 160)[:100])
        card.flush_output()
        play([silence(160)] * 30)
        say(second=True)
        card.close()
    """
    child(card, script).wait_for("second", 30)
    heard = recording.stop()
    assert seconds_of(heard, 600) == pytest.approx(1.0, abs=0.04)
    # The cut loses what waited in the ring (25 ms) and nothing of it comes later.
    assert 0.85 < seconds_of(heard, 900) < 0.99


def test_mute_gives_the_microphone_back_while_the_loudspeaker_plays(card: VirtualCard, child: Any) -> None:
    script = """
        card.open_output()
        say(ready=True)
        for word in sys.stdin:
            if word == "open\\n": card.open_input()
            if word == "mute\\n": card.close_input()
            if word == "play\\n":
                for frame in tone(600, RATE).reshape(-1, 160):
                    if card.read(0.01) is None and card.hearing: continue
                    card.write(frame)
            say(**{"done_" + word.strip(): True})
    """
    talker = child(card, script)
    talker.wait_for("ready")
    wait_until(lambda: card.microphone_users() == 0, 5, "nobody listens before")
    talker.tell("open")
    wait_until(lambda: card.microphone_users() == 1, 5, "the microphone is in use")
    talker.tell("mute")
    wait_until(lambda: card.microphone_users() == 0, 5, "the microphone is given back")
    recording = card.recording()
    talker.tell("play")
    talker.wait_for("done_play")
    wait_until(lambda: seconds_of(recording.so_far(), 600) > 0.8, 5, "the loudspeaker plays on")
    recording.stop()
    talker.tell("open")
    wait_until(lambda: card.microphone_users() == 1, 5, "the microphone is in use again")


def test_one_channel_of_an_array_is_heard_or_all_of_them(card: VirtualCard, child: Any, tmp_path: Path) -> None:
    hertz = (300, 500, 700, 900)
    source = card.array()
    player = card.play_array([tone(hz, 15) for hz in hertz])
    script = f"""
        for channel in (0, 2, 3, -1):
            card = SoundCard(channel=channel, channels=4)
            card.open_input()
            while (frame := card.read(1)) is None or not np.abs(frame).max() > 1500: pass
            frames = [card.read(1) for _ in range(60)]
            card.close()
            np.save({str(tmp_path)!r} + f"/{{channel}}.npy", np.concatenate(frames[10:]))
        for options in (dict(channel=4, channels=4), dict(channel=1), dict(channel=0, channels=99)):
            card = SoundCard(**options)
            try:
                card.open_input()
            except SoundCardError as error:
                say(**{{f"refused_{{options['channel']}}": [error.code, str(error)]}})
        say(done=True)
    """
    listener = child(card, script, PULSE_SOURCE=source)
    listener.wait_for("done", 25)
    for channel, expected in ((0, {300}), (2, {700}), (3, {900}), (-1, set(hertz))):
        pcm = np.load(tmp_path / f"{channel}.npy").astype(np.float64)
        at = np.arange(len(pcm))
        level = {hz: 2 * abs(np.exp(-2j * np.pi * hz * at / RATE) @ pcm) / len(pcm) for hz in hertz}
        assert {hz for hz in hertz if level[hz] > 1_000} == expected, (channel, level)
        assert max(level.values()) == pytest.approx(8_000 / len(expected), rel=0.1)
    facts = listener.facts()
    assert [facts[f"refused_{channel}"][0] for channel in (4, 1, 0)] == ["no-channel"] * 3
    assert "has 4, counted from 0" in facts["refused_4"][1]
    assert "set audio.channels" in facts["refused_1"][1]
    player.terminate()


def test_what_a_stalled_pump_misses_is_counted(card: VirtualCard, child: Any) -> None:
    script = """
        card.open_input()
        for _ in range(200): card.read(1)
        while card.read(0) is not None: pass
        card.lost()
        start, samples = time.monotonic(), 0
        time.sleep(2.5)  # the stall itself: for so long nobody reads
        while time.monotonic() - start < 5:
            frame = card.read(1)
            samples += 0 if frame is None else len(frame)
        say(samples=samples, lost=card.lost(), took=time.monotonic() - start)
        card.close()
    """
    stalled = child(card, script)
    stalled.wait_for("took", 25)
    facts = stalled.facts()
    # The ring holds a second; what came in the other one and a half is lost.
    assert facts["lost"] == pytest.approx(1.5 * RATE, rel=0.1)
    assert facts["samples"] + facts["lost"] == pytest.approx(facts["took"] * RATE, rel=0.02)


def test_an_unplugged_card_is_noticed_and_found_again(child: Any) -> None:
    script = """
        card.open()
        for _ in range(50): card.read(1)
        say(hearing=True)
        try:
            while True:
                card.read(0.2)
                card.write(silence(160))
        except SoundCardLost as lost:
            say(lost=lost.code)
        while True:
            try:
                card.close_input()
                card.close_output()
                rescan()
                card.open()
                break
            except SoundCardError as error:
                say(refused=error.code)
        heard = 0
        while heard < 50: heard += card.read(1) is not None
        say(again=heard)
        card.close()
    """
    with virtual_card() as card:
        appliance = child(card, script)
        appliance.wait_for("hearing")
        card.kill()
        gone = time.monotonic()
        assert appliance.wait_for("lost") in {"device-failed", "no-input"}
        assert time.monotonic() - gone < 2
        assert appliance.wait_for("refused") in {"device-missing", "device-failed", "no-input"}
        card.start()
        assert appliance.wait_for("again") == 50
        assert appliance.process.wait(10) == 0
