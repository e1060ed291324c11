"""Moonshine: what people said, what voices said, and nothing out of noise."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from models import stt_moonshine
from models.engines import EngineError, Hypothesis, ModelUnavailable, Pcm
from models.moonshine_decoder import detokenize, read_vocabulary
from models.stt_moonshine import MoonshineRecognizer, common_prefix, rejected
from tests.models_speech import VOICES, noise, recording, say, transcript
from tests.wer import normalized, wer

PEOPLE = ("en_digits.wav", "en_platforms.wav", "lj001_0002.wav", "lj001_0004.wav", "lj001_0006.wav")
REQUESTS = (
    "What time is it?", "Set a timer for ten minutes.", "Book a table for two on Thursday at seven.", "Yes please.",
    "No.", "Stop.", "Cancel the appointment tomorrow.", "Thank you.", "What is the weather like?",
)  # fmt: skip


@functools.cache
def moonshine() -> MoonshineRecognizer:
    recognizer = MoonshineRecognizer()
    recognizer.load()
    return recognizer


def transcribed(pcm: Pcm) -> Hypothesis:
    moonshine().start()
    for at in range(0, len(pcm), 1111):
        moonshine().feed(pcm[at : at + 1111])
    return moonshine().finish()


def test_the_error_rate_forgives_spelling_only() -> None:
    assert normalized("1-0-0-0-1. 90210") == "one zero zero zero one nine zero two one zero"
    assert wer("one zero zero zero one nine oh", "10001 9 oh") == 0
    assert wer("the block books", "The blockbooks.") == 0
    assert wer("set a timer", "set the timer") == pytest.approx(1 / 3)


def test_what_noise_decodes_to_is_rejected() -> None:
    assert rejected("You", -0.02, steady=False)
    assert rejected("\u266a\u266a", -0.1, steady=False)
    assert rejected("Thank you.", -0.1, steady=True)
    assert rejected("Thank you.", -0.6, steady=False)
    assert rejected("Something else.", -1.2, steady=False)
    assert not rejected("Thank you.", -0.1, steady=False)
    assert not rejected("Stop.", -0.9, steady=True)


def test_partials_agree_on_words_not_on_punctuation() -> None:
    assert common_prefix([["Book,", "a", "table"], ["book", "a"], ["Book", "a", "tap"]]) == 2
    assert common_prefix([["Book"], [], ["Book"]]) == 0


def test_the_tokenizer_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.bin"
    long = b"x" * 300
    path.write_bytes(b"\x03<s>\x02\xc3\xa9\x05\xe2\x96\x81on" + bytes([300 % 128 + 128, 300 // 128]) + long)
    vocabulary = read_vocabulary(path)
    assert vocabulary[3] == long
    assert detokenize(vocabulary, [0, 2, 2, 1, 99]) == "on on\u00e9"
    path.write_bytes(b"\x05abc")
    with pytest.raises(ModelUnavailable, match="ends inside a token"):
        read_vocabulary(path)


def test_nothing_can_be_fed_before_the_start() -> None:
    recognizer = MoonshineRecognizer()
    recognizer.abort()
    with pytest.raises(EngineError, match="no utterance is open"):
        recognizer.feed(noise(160, 10))
    recognizer.start()
    with pytest.raises(EngineError, match="not loaded"):
        recognizer.partial()


def test_a_missing_model_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise ModelUnavailable(f"{name} is missing")

    monkeypatch.setattr(stt_moonshine, "resolve", missing)
    with pytest.raises(ModelUnavailable, match="encoder is missing"):
        MoonshineRecognizer().load()


@pytest.mark.models
@pytest.mark.parametrize("name", PEOPLE)
def test_recordings_of_people(name: str) -> None:
    found = transcribed(recording(name))
    assert wer(transcript(name), found.text) <= 0.10
    assert found.stable == found.text
    assert found.confidence is not None
    assert 0.7 < found.confidence <= 1


@pytest.mark.models
@pytest.mark.parametrize("voice", VOICES)
def test_short_requests(voice: str) -> None:
    rates = {request: wer(request, transcribed(say(voice, request)).text) for request in REQUESTS}
    assert sum(rates.values()) / len(rates) <= 0.10, rates


@pytest.mark.models
@pytest.mark.parametrize("amplitude", [0, 5, 30, 300, 3000])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 3])
def test_silence_and_noise_are_empty(amplitude: float, seconds: float) -> None:
    assert transcribed(noise(int(seconds * 16_000), amplitude)).text == ""


@pytest.mark.models
def test_partials_grow_stable() -> None:
    pcm = say("joe", REQUESTS[2])
    recognizer = moonshine()
    recognizer.start()
    found = []
    for at in range(0, len(pcm), 4000):
        recognizer.feed(pcm[at : at + 4000])
        found.append(recognizer.partial())
    assert found[0].stable == found[1].stable == ""
    assert normalized(found[-1].stable) == normalized(REQUESTS[2])
    recognizer.abort()


@pytest.mark.models
def test_an_utterance_is_cut_at_15_seconds_and_the_next_is_clean() -> None:
    request = say("joe", REQUESTS[1])
    long = np.concatenate([noise(16_000 * 15, 4), request])
    assert transcribed(long).text == ""
    assert wer(REQUESTS[1], transcribed(request).text) == 0
