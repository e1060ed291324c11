"""`wakeline bench loop`: its pure parts, and a short run as a process with every figure in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.frames import FRAME, RATE, Pcm, Samples, silence
from audio.settings import EndpointSettings
from audio.wav import write_wav
from device.bench import rooms
from device.bench.data import judged, read_manifest, spoken
from device.bench.loop import lines, wer_percent
from device.bench.noise import active_level, babble, mixed, pink
from device.bench.options import ManifestInvalid, Options
from device.bench.process import family, pss_mb
from device.bench.requests import Result
from device.bench.rooms import table

RNG = np.random.default_rng(5)


def tone(seconds: float, amplitude: float = 8000.0) -> Pcm:
    return (np.sin(np.arange(round(seconds * RATE)) / 8) * amplitude).astype(np.int16)


# -- noise -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("snr_db", [20.0, 10.0, 0.0])
def test_noise_lies_so_far_below_the_speech(snr_db: float) -> None:
    speech = np.concatenate([silence(RATE), tone(1), silence(RATE)])
    level = active_level(speech)
    assert level == pytest.approx(8000 / np.sqrt(2), rel=0.02), "the pauses around it do not count"
    noisy = mixed(silence(len(speech)), pink(len(speech), RNG), level, snr_db).astype(float)
    assert 20 * np.log10(level / np.sqrt(np.mean(noisy**2))) == pytest.approx(snr_db, abs=0.1)


def test_pink_noise_falls_by_three_decibels_an_octave() -> None:
    power = np.abs(np.fft.rfft(pink(1 << 16, RNG))) ** 2
    octaves = [10 * np.log10(power[first : 2 * first].mean()) for first in (1 << 8, 1 << 10, 1 << 12)]
    assert np.diff(octaves) == pytest.approx([-6, -6], abs=0.7)


def test_babble_is_all_talkers_at_once() -> None:
    talkers = [[tone(0.5, 1000.0)], [tone(0.3, 9000.0), tone(0.2, 9000.0)]]
    noise = babble(5 * RATE, talkers, np.random.default_rng(1))
    assert len(noise) == 5 * RATE
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0)
    assert np.array_equal(noise, babble(5 * RATE, talkers, np.random.default_rng(1))), "the same every time"
    assert np.count_nonzero(noise) > 0.5 * len(noise)


def test_loud_noise_is_not_wrapped_round() -> None:
    assert mixed(np.full(100, 32000, np.int16), np.ones(100), 32000.0, 0.0).min() == 32767


# -- recordings --------------------------------------------------------------------------------------------------------
def test_what_is_said_with_a_pause_is_said_in_two_parts() -> None:
    entries = table()["pause"]
    assert len(entries) >= 15
    assert all(len(entry["say"]) == 2 and entry["expected"] for entry in entries)
    assert len(table()["babble"]["say"]) >= 12
    assert not any("jarvis" in text.lower() for text in table()["babble"]["say"])


@pytest.mark.parametrize(("silent_for", "ends"), [(0.65, None), (0.75, 1.7)])
def test_the_plain_endpoint(silent_for: float, ends: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loud:
        def load(self) -> None: ...
        def is_speech(self, frame: Pcm) -> bool:
            return bool(np.abs(frame).max() > 100)

    monkeypatch.setattr("models.vad.WebRtcVoiceDetector", Loud)
    pcm = np.concatenate([tone(1), silence(round(silent_for * RATE)), tone(20)])
    end = rooms._plain_end(pcm, Samples(0), EndpointSettings(silence_ms=700, cap_ms=15_000))
    assert end == (None if ends is None else pytest.approx(ends * RATE, abs=FRAME))


# -- foreign recordings ------------------------------------------------------------------------------------------------
TOML = """
[[recording]]
file = "a.wav"
kind = "request"
text = "Set a timer for ten minutes."
expected = "setTimer"
arguments = { duration = 600 }
source = "of no interest"

[[recording]]
file = "elsewhere.wav"
language = "ko"
"""
CSV = 'file,kind,text,expected,arguments\na.wav,request,Set a timer for ten minutes.,setTimer,"{""duration"": 600}"\n'


@pytest.mark.parametrize(("name", "text"), [("manifest.toml", TOML), ("manifest.csv", CSV)])
def test_a_manifest_says_what_is_expected(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    write_wav(tmp_path / "a.wav", tone(0.1))
    (entry,) = read_manifest(tmp_path)
    assert (entry.kind, entry.expected, entry.arguments) == ("request", "setTimer", {"duration": 600})
    one = spoken(entry, tone(0.1))
    assert (one.request.id, one.end, one.pressed) == ("a", None, False)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("manifest.toml", "[[recording", "Expected"),
        ("manifest.toml", "recording = 3", "names no recording"),
        ("manifest.toml", '[[recording]]\ntext = "no file"', "file"),
        ("manifest.toml", '[[recording]]\nfile = "gone.wav"', "gone.wav does not exist"),
        ("manifest.toml", '[[recording]]\nfile = "a.wav"\nkind = "song"', "song"),
        ("manifest.csv", "file,arguments\na.wav,{", "line 2"),
        ("other.txt", "", "neither manifest.toml nor manifest.csv"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestInvalid, match=says) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def result(**fields: Any) -> Result:
    plain: dict[str, Any] = {
        "id": "a", "voice": "", "way": "data", "text": "", "heard": "", "said": "", "gap_ms": None, "latencies": {},
        "right": False, "remnant": False, "audio_s": 36.0,
    }  # fmt: skip
    return Result(**{**plain, **fields})


def test_what_foreign_recordings_say_together(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "file,kind,text,expected\na.wav,request,what time is it,getTime\na.wav,wake,,\na.wav,speech,,\na.wav,speech,,\n"
    )
    write_wav(tmp_path / "a.wav", tone(0.1))
    entries = read_manifest(tmp_path)
    results = [
        result(right=True, gap_ms=800, reason="silence", heard="What time is it?"),
        result(),
        result(reason="cut"),
        result(reason="no_speech"),
    ]
    found = judged(list(zip(entries, results, strict=True)))
    assert (found["right"], found["of"], found["gap_p50_ms"], found["wer_percent"]) == (1, 1, 800, 0.0)
    assert found["wake"] == {"recall": 0.5, "of": 2, "false_accepts": 1, "hours": 0.02}, "a word taken back is none"


# -- figures -----------------------------------------------------------------------------------------------------------
def test_word_errors_over_all_requests() -> None:
    assert wer_percent(["what time is it", "stop"], ["what time is it", "top"]) == 20.0
    assert wer_percent([], []) == 0.0


def test_every_figure_has_a_line() -> None:
    shown = lines({"noisy": {"capped": 0, "pink10": {"p50": None}}, "pss_mb": 300.0})
    assert [line.split() for line in shown] == [["noisy.capped", "0"], ["noisy.pink10.p50", "-"], ["pss_mb", "300.0"]]


def test_parts_are_all_but_the_longest_unless_asked_for() -> None:
    assert "breath" not in Options().parts
    assert Options(only=("breath",)).parts == ("breath",)
    assert Options(data=Path("x")).parts == ()


def test_memory_is_that_of_a_process_and_its_children() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        assert child.pid in family(os.getpid())
        assert 0 < pss_mb(child.pid) < pss_mb(os.getpid())
        child.kill()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "device.cli", "bench", "loop", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_a_folder_without_a_manifest_is_one_line_before_anything_is_measured(tmp_path: Path) -> None:
    done = run("--data", str(tmp_path))
    assert done.returncode == 2
    assert "manifest-invalid" in done.stderr
    assert "Traceback" not in done.stderr


KEYS = """response_gap_ms.p50 response_gap_ms.p95 response_gap_ms.reference.p50 false_end_of_turn.cut
    false_end_of_turn.of false_end_of_turn.reference.cut noisy.capped noisy.of noisy.pink10.right noisy.babble15.right
    idle_cpu_ratio idle_cpu_percent idle_reference_percent replay_speed_x pss_mb start_s wer_percent wake.recall
    wake.false_accepts wake.hours slow_board.recommended slow_board.p50""".split()  # noqa: SIM905


@pytest.mark.models
def test_a_short_run_has_every_figure(tmp_path: Path) -> None:
    done = run("--quick", "--json", "--tts", "hibari", "--record", str(tmp_path))
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    for key in KEYS:
        found = values
        for part in key.split("."):
            found = found[part]
        assert found is not None, key
    assert values["response_gap_ms"]["right"] >= values["response_gap_ms"]["of"] - 1
    assert values["false_end_of_turn"]["of"] == 3
    assert values["start_s"] > 0
    assert 50 < values["pss_mb"] < 450
    assert json.loads((tmp_path / "figures.json").read_text()) == values
    assert list(tmp_path.glob("pink10-*.wav")), "whoever doubts a figure has what it was made of"
