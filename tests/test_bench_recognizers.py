"""`wakeline bench stt`: how words are counted, foreign recordings, a missing model, and Vosk on its Korean model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.wav import write_wav
from device.bench.words import character_errors, errors, normalized, word_errors
from device.cli import main
from tests.models_speech import RECORDINGS, recording
from tests.test_models_vosk import model

_words = st.lists(st.sampled_from("abcd"), max_size=8)


@given(_words, _words, _words)
def test_errors_are_a_distance(one: list[str], two: list[str], three: list[str]) -> None:
    assert errors(one, one) == 0
    assert errors(one, two) == errors(two, one) <= max(len(one), len(two))
    assert errors(one, three) <= errors(one, two) + errors(two, three)


def test_spelling_is_forgiven_and_words_are_not() -> None:
    assert " ".join(normalized("1-0-0-0-1. 90210")) == "one zero zero zero one nine zero two one zero"
    assert word_errors("one oh one", "101.") == (0, 3)
    assert word_errors("the block books", "The blockbooks.") == (0, 3)
    assert word_errors("set a timer", "set the timer now") == (2, 3)
    assert character_errors("길 한 옆으로", "길한 옆로") == (1, 5)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (None, "is missing"),
        ("[[recording]]\n", "KeyError"),
        ("recording = 3\n", "TypeError"),
        ("not toml", "TOMLDecodeError"),
        ('[[recording]]\nfile = "a.wav"\ntext = "a"\nlanguage = "ko"\n', "no recording in the language en"),
        ('[[recording]]\nfile = "a.wav"\ntext = "a"\n', "a.wav"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: str | None, says: str
) -> None:
    if manifest is not None:
        (tmp_path / "manifest.toml").write_text(manifest)
    assert main(["bench", "stt", "--data", str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1


def test_a_missing_vosk_model_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAKELINE_MODELS", str(tmp_path))
    assert main(["bench", "stt", "--engine", "vosk"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "model-missing" in found.err
    assert "wakeline models download vosk-small-en" in found.err


@pytest.mark.models
def test_vosk_is_measured_on_foreign_recordings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recording("ko_sentence.wav")  # skips where the folder is missing
    monkeypatch.setenv("WAKELINE_STT__MODEL", str(model()))
    arguments = ["bench", "stt", "--engine", "vosk", "--data", str(RECORDINGS), "--language", "ko", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["engine"], found["sentences"], "moonshine" in found) == ("vosk", 1, False)
    figures = found["vosk"]
    assert 0 < figures["cer_percent"] <= 40
    assert figures["real_time_factor"] > 0
    assert figures["final_ms"]["p50"] > 0
    assert 500 < figures["first_words_ms"]["p50"] < 6000
    assert figures["pss_mb"] > 200


@pytest.mark.models
def test_moonshine_is_measured_and_silence_has_no_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_wav(tmp_path / "quiet.wav", np.zeros(16_000, np.int16))
    (tmp_path / "manifest.toml").write_text('[[recording]]\nfile = "quiet.wav"\ntext = "nothing at all"\n')
    assert main(["bench", "stt", "--engine", "moonshine", "--data", str(tmp_path)]) == 0
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines()[1:])
    assert rows["wer_percent"] == "100.0"
    assert rows["first_words_ms"] == "-"
