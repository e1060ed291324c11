"""Voice detection and echo cancelling."""

from __future__ import annotations

import numpy as np
import pytest

from models.echo import WebRtcEchoCanceller
from models.engines import RATE, EngineError, Pcm
from models.vad import WebRtcVoiceDetector
from tests.models_speech import frames, noise, say

DELAY = 960


def test_frames_have_ten_milliseconds_and_engines_are_loaded_first() -> None:
    with pytest.raises(ValueError, match="160 samples"):
        WebRtcVoiceDetector().is_speech(noise(320, 10))
    with pytest.raises(EngineError):
        WebRtcVoiceDetector().is_speech(noise(160, 10))
    with pytest.raises(ValueError, match="160 samples"):
        WebRtcEchoCanceller().process(noise(160, 10), noise(80, 10), 0)
    with pytest.raises(EngineError):
        WebRtcEchoCanceller().process(noise(160, 10), noise(160, 10), 0)
    with pytest.raises(ValueError, match="mode"):
        WebRtcVoiceDetector(4)


@pytest.mark.models
def test_speech_is_told_from_quiet() -> None:
    detector = WebRtcVoiceDetector()
    detector.load()
    assert sum(map(detector.is_speech, frames(noise(32_000, 30)))) <= 10
    speech = frames(say("joe", "What is the weather like tomorrow?"))[50:-100]
    assert sum(map(detector.is_speech, speech)) / len(speech) > 0.6


def echo_of(far: Pcm) -> Pcm:
    """What a microphone in a small room picks up of the loudspeaker."""
    room = np.random.default_rng(1).standard_normal(3000) * np.exp(-np.arange(3000) / 500)
    room[:DELAY] = 0
    room /= 2 * np.sqrt(np.sum(room**2))
    heard = np.convolve(far.astype(float), room)[: len(far)] + noise(len(far), 10)
    return np.clip(heard, -32768, 32767).astype(np.int16)


def decibels(pcm: Pcm) -> float:
    return float(10 * np.log10(np.mean(np.square(pcm.astype(float))) + 1e-3))


@pytest.mark.models
def test_the_echo_goes_also_after_the_canceller_has_rested() -> None:
    reply = say("heart", "The weather tomorrow will be mostly sunny, with a high of seventy two degrees.")
    pause = np.zeros(16_000 * 3, np.int16)
    far = np.concatenate([pause, reply, pause, reply, pause])
    near = echo_of(far)
    canceller = WebRtcEchoCanceller()
    canceller.load()
    clean = np.concatenate([canceller.process(n, f, DELAY) for n, f in zip(frames(near), frames(far), strict=True)])
    for start, least in ((len(pause), 20), (2 * len(pause) + len(reply), 35)):
        span = slice(start + 8000, start + len(reply) - 16_000)
        assert decibels(near[span]) - decibels(clean[span]) > least


@pytest.mark.models
def test_a_talker_is_left_alone_while_the_loudspeaker_is_silent() -> None:
    near = say("joe", "Set a timer for ten minutes.")
    canceller = WebRtcEchoCanceller()
    canceller.load()
    silence = np.zeros(160, np.int16)
    heard = np.concatenate([canceller.process(frame, silence, DELAY) for frame in frames(near)])
    assert abs(decibels(heard) - decibels(near)) < 1.5


@pytest.mark.models
@pytest.mark.parametrize("delay", [0, RATE // 2, RATE // 2 + 16, 100 * RATE])
def test_no_delay_of_a_card_is_too_long_for_the_canceller(delay: int) -> None:
    canceller = WebRtcEchoCanceller()
    canceller.load()
    far = np.full(160, 3_000, np.int16)
    assert len(canceller.process(far, far, delay)) == 160
