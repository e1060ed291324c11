"""The made-up recordings: the script is whole without any engine, and with the engines it is speech at 16 kHz."""

from __future__ import annotations

import numpy as np
import pytest

from audio.frames import RATE, ms, silence
from device.bench import speech
from device.bench.speech import assemble, edges, one_breath, request_set, speak, spread, trimmed, with_pause
from device.demo import script


def test_the_visit_has_the_steps_of_the_demo() -> None:
    lines = script("visit")
    assert [line.when for line in lines] == ["idle", "idle", "asked", "idle", "ringing"]
    assert {line.voice for line in lines} == {"joe", "hibari"}
    for line in lines:
        called = "Hey Jarvis" in str(line.say[0])
        assert called == (line.when == "idle"), "what is asked or rings needs no wake word"
    assert any(isinstance(part, int) for line in lines for part in line.say), "one line pauses after the wake word"


def test_the_requests_cover_the_functions_in_two_voices() -> None:
    requests = request_set()
    assert len(requests) >= 30
    for request in requests:
        assert bool(request.reply) == (request.expected in ("help", "callPerson")), request.id
    assert len({request.id for request in requests}) == len(requests)
    wanted = {
        "getTime",
        "getDate",
        "setTimer",
        "cancelTimer",
        "checkAvailability",
        "bookAppointment",
        "help",
        "callPerson",
    }
    assert {request.expected for request in requests} == wanted
    assert {voice: sum(r.voice == voice for r in requests) > 10 for voice in ("joe", "hibari")} == {
        "joe": True,
        "hibari": True,
    }


def test_a_part_of_the_requests_has_all_kinds_in_both_voices() -> None:
    few = spread(request_set(), 10)
    assert len({request.id for request in few}) == 10
    assert {request.voice for request in few} == {"joe", "hibari"}
    assert len({request.expected for request in few}) >= 6
    assert spread(few, 99) == few


def test_a_recording_has_lead_pauses_tail_and_a_quiet_room() -> None:
    speech = np.full(1600, 8000, np.int16)
    pcm = assemble([speech, 700, speech], tail_ms=1000, lead_ms=500)
    assert len(pcm) == ms(500) + 1600 + ms(700) + 1600 + ms(1000)
    floor_db = 20 * np.log10(np.std(pcm[: ms(400)].astype(float)) / 32768)
    assert floor_db == pytest.approx(-65, abs=0.5)
    assert np.array_equal(pcm, assemble([speech, 700, speech], tail_ms=1000)), "the same every time"


def test_the_edges_of_a_sound() -> None:
    pcm = np.concatenate([silence(1600), np.full(3200, 8000, np.int16), silence(800)])
    assert edges(pcm) == (1600, 4800)
    assert len(trimmed(pcm)) == 3200
    assert edges(silence(1600)) == (0, 1600), "nothing is to be cut off where nothing is"


def test_loud_speech_is_not_wrapped_round() -> None:
    assert assemble([np.full(100, 32767, np.int16)], lead_ms=0, tail_ms=0).min() > 32000


@pytest.mark.models
@pytest.mark.parametrize("voice", ["joe", "hibari"])
def test_the_voices_speak(voice: speech.Voice) -> None:
    alone = speak(voice, "What time is it?")
    assert alone.dtype == np.int16
    assert 0.5 < len(alone) / RATE < 2.5
    assert 2000 < np.abs(alone).max() <= 32767
    breath, pause = one_breath(voice, "What time is it?"), with_pause(voice, "What time is it?")
    assert len(alone) < len(breath) < len(pause)
    assert len(with_pause(voice, "What time is it?", pause_ms=1700)) - len(pause) == len(silence(ms(1000)))
    assert speak(voice, "What time is it?") is alone
