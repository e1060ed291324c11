"""Both voices: level, pauses, the same audio twice, cancelling, and whether a recognizer understands them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from models import tts_hibari, tts_piper
from models.engines import EngineError, ModelUnavailable
from models.loudness import finished
from models.tts_hibari import HibariSynthesizer
from models.tts_piper import PiperSynthesizer
from tests.models_speech import VOICES, voice

LONG = "This sentence goes on without any pause so that a voice is busy with it for quite a while on a small computer"


def test_loudness_is_limited_and_silence_trimmed() -> None:
    tone = np.sin(np.arange(8000) / 5).astype(np.float32)
    audio = np.concatenate([np.zeros(8000, np.float32), tone, np.zeros(8000, np.float32)])
    pcm = finished(audio, 16_000, gain=2.0)
    assert abs(len(pcm) - (8000 + 0.15 * 16_000)) < 10
    assert 32_000 < int(np.abs(pcm).max()) <= 32_767
    assert int(finished(audio * 0.1, 16_000, 2.0).max()) == pytest.approx(0.2 * 32_767, rel=0.01)
    assert finished(np.zeros(100, np.float32), 16_000, 2.0).size == 0


@pytest.mark.parametrize("module", [tts_piper, tts_hibari])
def test_a_missing_voice_says_so(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise ModelUnavailable(f"{name} is missing")

    monkeypatch.setattr(module, "resolve", missing)
    engine = PiperSynthesizer() if module is tts_piper else HibariSynthesizer()
    with pytest.raises(EngineError, match="not loaded"):
        engine.synthesize("Hello.")
    engine.cancel()
    with pytest.raises(ModelUnavailable, match="is missing"):
        engine.load()


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
def test_a_reply_comes_clause_by_clause_in_its_own_words(name: str) -> None:
    text = "Dr. Smith can see you at 3:30 p.m. tomorrow, or on the 24th at 10:05 in room 204. It costs $5."
    found = list(voice(name).synthesize(text))
    assert len(found) == 3
    assert " ".join(clause.text for clause in found) == text
    rate = voice(name).rate
    for clause in found:
        level = np.sqrt(np.mean((clause.pcm / 32768) ** 2))
        assert 0.06 < level < 0.16, "about -20 dBFS"
        audible = np.flatnonzero(np.abs(clause.pcm) > 300)
        assert audible[0] < 0.08 * rate
        assert len(clause.pcm) - audible[-1] < 0.2 * rate


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
def test_the_same_text_is_the_same_audio(name: str) -> None:
    first, second = (list(voice(name).synthesize("It is three thirty.")) for _ in range(2))
    assert np.array_equal(first[0].pcm, second[0].pcm)


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("text", ["", "...", "\U0001f600 \ud800", "[[x]]"])
def test_text_without_words_is_no_clause(name: str, text: str) -> None:
    assert list(voice(name).synthesize(text)) == []


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
def test_hostile_text_is_survived(name: str) -> None:
    text = "x" * 90 + " " + "9" * 50 + " [a](/b/) [[c]] <d> \x00"
    assert list(voice(name).synthesize(text))


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
def test_cancel_ends_the_job_within_50_ms(name: str) -> None:
    synthesizer = voice(name)
    asked: list[float] = []

    def cancel() -> None:
        asked.append(time.monotonic())
        synthesizer.cancel()

    clauses = synthesizer.synthesize(f"Yes. {LONG}. {LONG}. {LONG}.")
    assert next(clauses).text == "Yes."
    threading.Timer(0.02, cancel).start()
    assert len(list(clauses)) < 3
    assert time.monotonic() - asked[0] < 0.05
    synthesizer.cancel()
    assert len(list(synthesizer.synthesize("Okay."))) == 1
