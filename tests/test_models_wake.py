"""Wake words: both engines over synthetic voices and, where the folder exists, people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.engines import ModelUnavailable as Unavailable
from models.engines import Pcm, WakeDetector, WakeScore
from models.wake_micro import MicroWakeDetector
from models.wake_open import OpenWakeDetector
from models.wake_trigger import REFRACTORY, Triggers, check_tflite
from models.wake_verify import OpenWakeVerifier
from models.wake_words import WakeWord
from tests.models_speech import RECORDINGS, VOICES, frames, noise, padded, recording, say
from tests.prompts import SOUNDS, decoded, missing

ENGINES = (MicroWakeDetector, OpenWakeDetector)
WORDS = ("hey_jarvis", "alexa", "hey_mycroft")
REQUESTS = ("What is the weather like today?", "Set a timer for ten minutes.", "Book a table for two at seven.")


def loaded(make: Callable[..., WakeDetector], *words: str) -> WakeDetector:
    detector = make([WakeWord(word) for word in words])
    detector.load()
    return detector


def heard(detector: WakeDetector, pcm: Pcm) -> list[tuple[int, WakeScore]]:
    """Each detection with the sample at which it was reported."""
    return [((i + 1) * 160, score) for i, frame in enumerate(frames(pcm)) for score in detector.process(frame)]


def test_one_word_is_reported_once() -> None:
    triggers = Triggers({"a": 0.5, "b": 0.5}, {})
    assert not triggers.update("a", 0.4, 160)
    assert triggers.update("a", 0.6, 320)
    assert not triggers.update("a", 0.9, 480)
    assert not triggers.update("b", 0.9, 640), "a rhyme of the same word"
    assert not triggers.update("a", 0.9, 320 + REFRACTORY), "still above since the first"
    triggers.update("a", 0.1, 480 + REFRACTORY)
    assert triggers.update("a", 0.6, 640 + REFRACTORY)


def test_patience_wants_scores_in_a_row() -> None:
    triggers = Triggers({"a": 0.5}, {"a": 2})
    assert [triggers.update("a", score, n) for n, score in enumerate((0.6, 0.4, 0.6, 0.7))] == [False] * 3 + [True]


def test_a_file_that_would_end_the_process_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "word.tflite"
    with pytest.raises(Unavailable, match="is missing"):
        check_tflite(wrong)
    wrong.write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(Unavailable, match="not a TFLite model"):
        check_tflite(wrong)


@pytest.mark.models
@pytest.mark.parametrize("make", ENGINES)
def test_unknown_words_and_missing_files_are_named(make: Callable[..., WakeDetector], tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"hey_computer.*available: alexa, hey_jarvis"):
        loaded(make, "hey_computer")
    absent = make([WakeWord("mine", model=str(tmp_path / "mine.tflite"))])
    with pytest.raises(Unavailable, match=r"mine\.tflite"):
        absent.load()


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("make", ENGINES)
def test_words_are_found_once_and_soon_after_their_end(make: Callable[..., WakeDetector], name: str) -> None:
    detector = loaded(make, *WORDS)
    heard(detector, noise(32_000, 4))
    for word in WORDS:
        pcm = say(name, word.replace("_", " ").title() + ".")
        end = int(np.flatnonzero(np.abs(pcm) > 300)[-1])
        found = heard(detector, np.concatenate([pcm, noise(16_000, 4)]))
        assert [score.word for _, score in found] == [word]
        assert -3200 <= found[0][0] - end <= detector.lag + 1600


@pytest.mark.models
@pytest.mark.parametrize("make", ENGINES)
def test_plain_requests_wake_nobody(make: Callable[..., WakeDetector]) -> None:
    detector = loaded(make, *WORDS)
    pcm = np.concatenate([say(name, request) for name in VOICES for request in REQUESTS])
    assert heard(detector, pcm) == []


@pytest.mark.models
@pytest.mark.parametrize("make", ENGINES)
def test_people_who_say_alexa(make: Callable[..., WakeDetector]) -> None:
    clips = sorted((RECORDINGS / "wake").glob("*.wav"))[::3]
    if not clips:
        pytest.skip(f"{RECORDINGS / 'wake'} is missing: foreign recordings are no part of the repository")
    detector = loaded(make, "alexa")
    counts = {True: 0, False: 0}
    for clip in clips:
        counts["alexa" in clip.name] += len(heard(detector, padded(recording(f"wake/{clip.name}"), 2.0)))
    assert counts[True] >= 19
    assert counts[False] <= 1


@pytest.mark.models
def test_a_second_detector_confirms_the_word_and_nothing_else() -> None:
    verifier = OpenWakeVerifier([WakeWord("hey_jarvis"), WakeWord("alexa")])
    verifier.load()
    for name in VOICES:
        said = say(name, "Hey Jarvis.")
        end = int(np.flatnonzero(np.abs(said) > 300)[-1])
        word = np.concatenate([noise(32_000, 4), said[: end + 8000]])
        assert verifier.verify("hey_jarvis", word).confirmed
        other = np.concatenate([noise(16_000, 4), say(name, "Set a timer for ten minutes.")])
        assert not verifier.verify("hey_jarvis", other).confirmed, "and what was judged before has left no trace"
        assert not verifier.verify("alexa", word).confirmed


@pytest.mark.models
def test_half_an_hour_of_other_speech_wakes_nobody() -> None:
    if why := missing():
        pytest.skip(why)
    detector = MicroWakeDetector([WakeWord("hey_jarvis")], confirmed={"hey_jarvis"})
    detector.load()
    verifier = OpenWakeVerifier([WakeWord("hey_jarvis")])
    verifier.load()
    past = noise(40_000, 4)
    awake = samples = 0
    for path in sorted(SOUNDS.rglob("*.g722")):
        pcm = np.concatenate([decoded(path), noise(8000, 4)])
        samples += len(pcm)
        for start, frame in enumerate(frames(pcm)):
            if detector.process(frame):
                end = (start + 1) * 160
                heard_until = np.concatenate([past, pcm])[len(past) + end - 38_400 : len(past) + end + 6400]
                awake += verifier.verify("hey_jarvis", heard_until).confirmed
        past = np.concatenate([past, pcm])[-40_000:]
    assert samples >= 30 * 60 * 16_000
    assert awake == 0


@pytest.mark.models
def test_a_confirmed_word_is_reported_early_and_then_surely() -> None:
    detector = MicroWakeDetector([WakeWord("hey_jarvis")], confirmed={"hey_jarvis"})
    detector.load()
    found = [
        score.sure for _, score in heard(detector, np.concatenate([say(VOICES[0], "Hey Jarvis."), noise(16_000, 4)]))
    ]
    assert found in ([False, True], [True])


@pytest.mark.models
@pytest.mark.parametrize("make", ENGINES)
def test_a_detector_that_is_thrown_away_takes_no_exception_with_it(make: Callable[..., WakeDetector]) -> None:
    def missing() -> object:
        raise Unavailable("another engine's")

    def both() -> object:
        # The detector lies on the interpreter's stack alone: it is destroyed while the exception is on its way.
        return (loaded(make, "hey_jarvis"), missing())

    with pytest.raises(Unavailable):
        both()
