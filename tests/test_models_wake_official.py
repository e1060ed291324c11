"""The official openwakeword package with a word model of our own making: Python 3.11 only, where it installs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from audio.assembly import wake_detector
from models.engines import EngineUnavailable, ModelUnavailable
from models.wake_official import OfficialWakeDetector
from models.wake_words import WakeWord
from tests.models_speech import frames, noise, say

pytestmark = pytest.mark.models
ELSEWHERE = sys.version_info >= (3, 12)


def word_model(path: Path, middle: float) -> Path:
    """An .onnx in the shape of a wake word, 16 embeddings in and a score out: how far their power is above `middle`."""
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "x"], ["squared"]),
            helper.make_node("ReduceMean", ["squared"], ["power"], axes=[1, 2], keepdims=0),
            helper.make_node("Unsqueeze", ["power", "one"], ["row"]),
            helper.make_node("Sub", ["row", "middle"], ["above"]),
            helper.make_node("Sigmoid", ["above"], ["y"]),
        ],
        "word",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 96])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("middle", TensorProto.FLOAT, [1], [middle]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, str(path))
    return path


@pytest.mark.skipif(ELSEWHERE, reason="openwakeword needs tflite-runtime, which has no wheel from Python 3.12 on")
def test_an_own_onnx_model_is_run_and_scored(tmp_path: Path) -> None:
    audio = frames(np.concatenate([noise(32_000, 4), say("heart", "Hello there, this is a voice."), noise(16_000, 4)]))
    found = {}
    for middle in (1e9, -1e9):
        word = WakeWord("mine", model=str(word_model(tmp_path / f"mine_{middle:.0f}.onnx", middle)))
        detector = wake_detector("openwakeword", (word,), frozenset())
        assert isinstance(detector, OfficialWakeDetector)
        detector.load()
        found[middle] = [score.word for frame in audio for score in detector.process(frame)]
    assert found[1e9] == []
    assert found[-1e9] == ["mine"], "above the threshold all the time is one word"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for model, said in (("", "set .wake.word.mine. model"), (str(tmp_path / "no.onnx"), "is missing")):
        with pytest.raises(ModelUnavailable, match=said):
            OfficialWakeDetector([WakeWord("mine", model=model)]).load()


@pytest.mark.skipif(ELSEWHERE, reason="openwakeword needs tflite-runtime, which has no wheel from Python 3.12 on")
def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelUnavailable, match="cannot load broken"):
        OfficialWakeDetector([WakeWord("mine", model=str(broken))]).load()


@pytest.mark.skipif(not ELSEWHERE, reason="here it installs")
def test_where_it_does_not_install_the_message_says_so(tmp_path: Path) -> None:
    some = tmp_path / "some.onnx"
    some.touch()
    with pytest.raises(EngineUnavailable, match=r"Python 3\.11 only"):
        OfficialWakeDetector([WakeWord("mine", model=str(some))]).load()
