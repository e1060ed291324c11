"""How loud it speaks: from the spoken word to the loudspeaker's samples, and over a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from audio.events import VolumeSet
from audio.mixer import Mixer
from audio.settings import ReplySettings
from device.app import build
from device.config import Config
from device.secrets import Secrets
from tests.scenario import CannedApp, Script, play


def test_what_was_said_reaches_the_ears_and_new_ones_too(tmp_path: Path) -> None:
    config = Config.model_validate({"timezone": "UTC", "paths": {"state_dir": tmp_path, "runtime_dir": tmp_path}})

    def told(house: object) -> list[float]:
        return [event.gain_db for event in house.appliance.due() if isinstance(event, VolumeSet)]  # type: ignore[attr-defined]

    async def scene() -> list[list[float]]:
        house = build(config, Secrets())
        heard = [told(house)]
        reply = await house.dialog.answer("set the volume to six", None, "voice", "turn-1")
        assert reply.text == "Volume 6."
        heard += [told(house), told(house)]
        house.appliance.seed()
        heard.append(told(house))
        await house.close()
        again = build(config, Secrets())
        heard.append(told(again))
        await again.close()
        return heard

    assert asyncio.run(scene()) == [[], [-12.0], [], [-12.0], [-12.0]]


def test_the_mixer_plays_softer_from_then_on() -> None:
    mixer = Mixer(ReplySettings(volume_db=-6.0))
    loudness = []
    for gain in (0.0, -12.0):
        mixer.set_volume(gain)
        mixer.begin_speech()
        mixer.add_speech(np.full(1600, 10_000, np.int16))
        loudness.append(20 * np.log10(np.abs(mixer.pull(160)).max() / 10_000))
    assert np.allclose(loudness, [-6.0, -18.0], atol=0.1)


def test_the_loop_obeys_the_event() -> None:
    script = Script()
    audio = np.concatenate([script.pause(300), script.wake(), script.say("hello"), script.pause(4000)])
    peaks = []
    for gain in (0.0, -20.0):
        trace = play(script, [audio], app=CannedApp(at={0: VolumeSet(gain_db=gain)}))
        peaks.append(float(np.abs(trace.far).max()))
    assert peaks[1] < peaks[0] / 9
