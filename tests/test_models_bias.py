"""Expected phrases on both recognizers: short answers in noise get better, other speech stays what it was."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.commands import Command, DecodePartial, FeedRecognition, FinishRecognition, StartRecognition
from audio.events import EngineFailed, Event, FinalText
from audio.frames import TurnId
from audio.workers import RecognitionJob
from device.bench.words import normalized
from models import stt_vosk
from models.engines import EngineDied, Hypothesis, Pcm, Word
from models.moonshine_decoder import detokenize
from models.stt_moonshine import MoonshineRecognizer, candidates
from models.stt_vosk import VoskRecognizer, preferred, specific
from tests.models_speech import VOICES, say
from tests.test_models_stt import moonshine

EXPECTED = {
    ("yes", "no", "never mind"): ("yes", "no", "never mind"),
    ("one", "two", "three", "four", "five", "six", "seven", "eight"): ("one", "four", "seven", "eight"),
    ("at noon", "at six", "at seven", "half past seven", "seven thirty"): ("at noon", "half past seven", "at seven"),
    ("today", "tomorrow", "monday", "friday", "next week"): ("Friday", "tomorrow", "next week"),
    ("stop", "snooze"): ("stop",),
}
OTHERS = {
    ("yes", "no", "never mind"): ("What time is it?", "Set a timer for ten minutes.", "No, make it Friday."),
    ("five minutes", "ten minutes", "half an hour"): ("Fifteen minutes.", "Two hours.", "Twenty five minutes."),
    ("at six", "at seven", "half past seven"): ("Half past eight.", "Seven fifteen.", "At nine."),
}


# -- Moonshine ----------------------------------------------------------------------------------------------------
def heard(pcm: Pcm, phrases: Sequence[str]) -> str:
    moonshine().start(phrases)
    moonshine().feed(pcm)
    return moonshine().finish().text


def noisy(pcm: Pcm, snr_db: float) -> Pcm:
    audio = pcm.astype(np.float64)
    level = np.sqrt(np.mean(audio[np.abs(audio) > 300] ** 2))
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(len(audio)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    pink = np.fft.irfft(spectrum, len(audio))
    pink *= level * 10 ** (-snr_db / 20) / np.sqrt(np.mean(pink**2))
    return np.clip(audio + pink, -32768, 32767).astype(np.int16)


def test_what_may_stand_for_a_free_text() -> None:
    assert set(candidates("Know", ["no", " never mind ", ""]).values()) == {"no", "never mind"}
    assert candidates("Know", ["no"]) == {"No": "no", "No.": "no"}
    assert candidates("7:15", ["seven thirty"]) == {}, "a number is a number"
    assert candidates("No, make it seven", ["no"]) == {}, "it is more than no"
    assert candidates("Book a table for Friday", ["book a table for thursday"]) == {}, "another day is another request"


@pytest.mark.models
@settings(deadline=None)  # the first one loads the model
@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12))
def test_tokens_are_the_text_again(text: str) -> None:
    decoder = moonshine()._decoder
    assert decoder is not None
    if "<" not in text and "\u2581" not in text:
        assert detokenize(decoder._vocabulary, decoder.tokenize(text)) == text


@pytest.mark.models
def test_expected_answers_in_noise_get_better() -> None:
    free = biased = count = 0
    for voice in VOICES:
        for phrases, answers in EXPECTED.items():
            for answer in answers:
                pcm = noisy(say(voice, answer), 5)
                free += normalized(heard(pcm, ())) == normalized(answer)
                biased += normalized(heard(pcm, phrases)) == normalized(answer)
                count += 1
    assert biased > free
    assert biased >= count - 4


@pytest.mark.models
@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("snr_db", [None, 10])
def test_other_speech_stays_what_it_was(voice: str, snr_db: float | None) -> None:
    for phrases, texts in OTHERS.items():
        for text in texts:
            pcm = say(voice, text) if snr_db is None else noisy(say(voice, text), snr_db)
            assert heard(pcm, phrases) == heard(pcm, ())


@pytest.mark.models
def test_noise_is_no_answer() -> None:
    rng = np.random.default_rng(3)
    for amplitude in (30, 300, 3000):
        assert heard((rng.standard_normal(16_000) * amplitude).astype(np.int16), ("yes", "no", "stop")) == ""


# -- Vosk ---------------------------------------------------------------------------------------------------------
class Library(types.ModuleType):
    """Stands for the vosk package: each recognizer hears what the test has put down for it."""

    def __init__(self) -> None:
        super().__init__("vosk")
        self.free: list[tuple[str, float]] = []
        self.bound: list[tuple[str, float]] = []
        self.made: list[str] = []
        self.SetLogLevel = lambda level: None
        self.Model = lambda path: types.SimpleNamespace(vosk_model_find_word=lambda word: -1 if word == "xyzzy" else 1)
        self.KaldiRecognizer = lambda model, rate, grammar="": Ear(self, grammar)


class Ear:
    def __init__(self, library: Library, grammar: str) -> None:
        library.made.append(grammar)
        self.library, self.grammar, self.dirty = library, grammar, False

    def SetWords(self, on: bool) -> None: ...

    def AcceptWaveform(self, audio: bytes) -> int:
        self.dirty = True
        return 0

    def SetGrammar(self, grammar: str) -> None:
        assert not self.dirty, "this ends the real process"
        self.grammar = grammar

    def FinalResult(self) -> str:
        self.dirty = False
        heard = self.library.bound if self.grammar else self.library.free
        return json.dumps({"text": "", "result": [{"word": word, "conf": sure} for word, sure in heard]})


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setitem(sys.modules, "vosk", made)
    return made


def loaded(folder: Path, grammar: bool | None = None) -> VoskRecognizer:
    (folder / "final.mdl").write_bytes(b"")
    engine = VoskRecognizer(folder, grammar)
    engine.load()
    return engine


def answer(engine: VoskRecognizer, *phrases: str) -> Hypothesis:
    engine.start(phrases)
    engine.feed(np.arange(16_000, dtype=np.int16))
    return engine.finish()


def test_the_grammar_is_believed_where_it_is_sure(library: Library, tmp_path: Path) -> None:
    engine = loaded(tmp_path)
    library.free, library.bound = [("know", 0.6)], [("no", 0.95)]
    assert answer(engine).text == "know"
    found = answer(engine, "yes", "no")
    assert found == Hypothesis("no", "no", 0.95, (Word("no", 0.95),))
    assert json.loads(library.made[-1]) == ["yes", "no", "[unk]"]
    for bound in ([], [("no", 0.7)], [("[unk]", 0.9)], [("no", 0.9), ("[unk]", 0.9)], [("no", 1.0)] * 3):
        library.bound = bound
        assert answer(engine, "yes", "no").text == "know"
    # A whole request is expected, or nothing that the model knows: no grammar.
    library.bound = [("no", 1.0)]
    for phrases in (("what time is it",), ("xyzzy",), ("one",) * 25):
        assert answer(engine, *phrases).text == "know"
    assert answer(loaded(tmp_path, grammar=False), "no").text == "know"
    library.bound = [("[unk]", 0.9), ("no", 0.3)]
    assert answer(loaded(tmp_path, grammar=True), "no").text == "no"


def test_a_recognizer_is_made_anew_after_long_use(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stt_vosk, "_RENEW_AFTER", 40_000)
    engine = loaded(tmp_path)
    for _ in range(6):
        answer(engine, "no")
    assert [bool(grammar) for grammar in library.made] == [False, True, False, True]


_heard = st.lists(st.builds(Word, st.sampled_from(["yes", "no", "[unk]"]), st.floats(0, 1)), max_size=4)


@given(_heard, _heard)
def test_what_is_preferred_is_one_of_both(free: list[Word], bound: list[Word]) -> None:
    found = preferred(free, bound, "[unk]")
    assert found is free or (found is bound and found and all(word.confidence >= 0.8 for word in found))


def test_short_answers_are_specific() -> None:
    assert specific(["yes", "half past seven"])
    assert not specific([])
    assert not specific(["yes", "what time is it"])


# -- the job ------------------------------------------------------------------------------------------------------
class Dying:
    """Its process ends at the first audio of the first utterance."""

    def __init__(self) -> None:
        self.starts = 0

    def load(self) -> None: ...
    def abort(self) -> None: ...

    def start(self, phrases: Sequence[str] = ()) -> None:
        self.starts += 1

    def feed(self, pcm: Pcm) -> None:
        if self.starts == 1:
            raise EngineDied("gone")

    def partial(self) -> Hypothesis:
        return Hypothesis("p")

    def finish(self) -> Hypothesis:
        return Hypothesis("done")


def test_a_death_is_told_once_and_costs_one_utterance() -> None:
    job, turn = RecognitionJob(Dying()), TurnId(4)

    def run(*commands: Command) -> list[Event]:
        return [event for command in commands for event in job.run(command)]

    audio = FeedRecognition(turn=turn, pcm=bytes(3200))
    spoken = (StartRecognition(turn=turn), audio, audio, DecodePartial(turn=turn), audio, FinishRecognition(turn=turn))
    first = run(*spoken)
    assert first == [EngineFailed(engine="stt", code="engine-died", turn=turn), FinalText(turn=turn, text="")]
    assert run(*spoken)[-1] == FinalText(turn=turn, text="done")


def test_both_recognizers_take_phrases_before_they_are_loaded() -> None:
    MoonshineRecognizer().start(("yes",))
