"""Owns which engine a name in the configuration means; the ears and the offline shell build theirs here."""

from __future__ import annotations

from dataclasses import replace

from audio.conversation import Conversation
from audio.listener import Listener
from audio.wire import EarsConfig
from audio.workers import Job, RecognitionJob, SynthesisJob, VerificationJob
from models.engines import EchoCanceller, EngineUnavailable, Recognizer, Synthesizer, WakeDetector
from models.wake_words import WakeWord

WAKE_ENGINES = ("micro", "open", "openwakeword", "none")
STT_ENGINES = ("moonshine", "vosk")
TTS_ENGINES = ("piper", "hibari")


def wake_detector(engine: str, words: tuple[WakeWord, ...], confirmed: frozenset[str]) -> WakeDetector | None:
    """Not loaded yet; None for push-to-talk only. `confirmed` are the words that a second detector will look at."""
    if engine == "none" or not words:
        return None
    if engine == "micro":
        from models.wake_micro import MicroWakeDetector

        return MicroWakeDetector(words, confirmed=confirmed)
    if engine == "open":
        from models.wake_open import OpenWakeDetector

        return OpenWakeDetector(words)
    if engine == "openwakeword":
        from models.wake_official import OfficialWakeDetector

        return OfficialWakeDetector(words)
    raise EngineUnavailable(f"no wake word engine called {engine!r}; there are {', '.join(WAKE_ENGINES)}")


def recognizer(engine: str, model: str = "") -> Recognizer:
    """Not loaded yet. Vosk lives in a child process, which several of its calls end; `model` is a name or a folder."""
    if engine == "moonshine":
        from models.stt_moonshine import MoonshineRecognizer

        return MoonshineRecognizer()
    if engine == "vosk":
        from models.host import HostedRecognizer

        return HostedRecognizer("models.stt_vosk:VoskRecognizer", {"model": model} if model else {})
    raise EngineUnavailable(f"no recognizer called {engine!r}; there are {', '.join(STT_ENGINES)}")


def synthesizer(engine: str, speed: float) -> Synthesizer:
    """Not loaded yet. Piper lives in a child process: several of its calls end theirs, and it is GPL."""
    if engine == "piper":
        from models.host import HostedSynthesizer

        return HostedSynthesizer("models.tts_piper:PiperSynthesizer", {"length_scale": 1.0 / speed})
    if engine == "hibari":
        from models.tts_hibari import HibariSynthesizer

        return HibariSynthesizer(speed=speed)
    raise EngineUnavailable(f"no synthesizer called {engine!r}; there are {', '.join(TTS_ENGINES)}")


def echo_canceller() -> EchoCanceller:
    """Not loaded yet."""
    from models.echo import WebRtcEchoCanceller

    return WebRtcEchoCanceller()


def build_conversation(config: EarsConfig, *, echo: bool) -> Conversation:
    """The core with its engines loaded; without `echo` the near end has none in it (a recording)."""
    from models.vad import WebRtcVoiceDetector

    voice = WebRtcVoiceDetector()
    voice.load()
    confirmed = frozenset(word.name for word in confirmed_words(config))
    wake = wake_detector(config.wake_engine, config.wake_words, confirmed)
    if wake is not None:
        wake.load()
    canceller = echo_canceller() if echo else None
    if canceller is not None:
        canceller.load()
    listener = Listener(config.loop.gate, voice, wake, canceller)
    loop = replace(config.loop, wake=replace(config.loop.wake, confirmed=tuple(sorted(confirmed))))
    return Conversation(listener, loop, config.epoch)


def confirmed_words(config: EarsConfig) -> tuple[WakeWord, ...]:
    """The words that a second detector looks at; the others are believed at the first one's own threshold."""
    from models.wake_verify import OpenWakeVerifier

    if config.wake_engine != "micro" or not config.wake_confirm:
        return ()
    return tuple(word for word in config.wake_words if OpenWakeVerifier.knows(word))


def build_jobs(config: EarsConfig) -> dict[str, Job]:
    """The slow workers with their engines loaded."""
    stt = recognizer(config.stt_engine, config.stt_model)
    tts = synthesizer(config.tts_engine, config.tts_speed)
    stt.load()
    tts.load()
    jobs: dict[str, Job] = {"stt": RecognitionJob(stt), "tts": SynthesisJob(tts, config.usual)}
    if words := confirmed_words(config):
        from models.wake_verify import OpenWakeVerifier

        verifier = OpenWakeVerifier(words)
        verifier.load()
        jobs["wake"] = VerificationJob(verifier)
    return jobs
