"""Engines in child processes: cancelled, killed, hung, orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.engines import EngineDied, EngineError, EngineTimedOut, EngineUnavailable
from models.host import HostedRecognizer, HostedSynthesizer
from tests.models_speech import until

ROOT = Path(__file__).parent.parent
TALKER = "tests.models_engines:Talker"
LONG = "This is one long sentence without any pause in it that keeps a voice busy for quite a while on any computer"


@pytest.fixture
def talker() -> Iterator[HostedSynthesizer]:
    engine = HostedSynthesizer(TALKER)
    engine.load()
    yield engine
    engine.close()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_clauses_come_through_with_their_audio(talker: HostedSynthesizer) -> None:
    found = list(talker.synthesize("one three"))
    assert [clause.text for clause in found] == ["one", "three"]
    assert found[1].pcm.dtype == np.int16
    assert found[1].pcm.tolist() == [5] * 1600
    assert talker.rate == 16_000
    assert list(talker.synthesize("")) == []


def test_cancel_ends_the_call_and_the_next_one_is_clean(talker: HostedSynthesizer) -> None:
    found = talker.synthesize("first slow late")
    assert next(found).text == "first"
    threading.Thread(target=talker.cancel).start()
    assert list(found) == []
    assert [clause.text for clause in talker.synthesize("next")] == ["next"]


def test_cancel_before_the_first_clause_is_taken(talker: HostedSynthesizer) -> None:
    found = talker.synthesize("one two")
    talker.cancel()
    assert list(found) == []


def test_cancel_when_idle_changes_nothing(talker: HostedSynthesizer) -> None:
    talker.cancel()
    assert len(list(talker.synthesize("one two"))) == 2


def test_a_call_given_up_half_way_leaves_nothing_behind(talker: HostedSynthesizer) -> None:
    for clause in talker.synthesize("one " * 500):
        assert clause.text == "one"
        break
    assert [clause.text for clause in talker.synthesize("two")] == ["two"]


def test_death_fails_the_call_and_the_next_use_starts_anew(talker: HostedSynthesizer) -> None:
    with pytest.raises(EngineDied):
        list(talker.synthesize("one die two"))
    assert [clause.text for clause in talker.synthesize("back")] == ["back"]


def test_a_child_killed_while_idle_is_replaced(talker: HostedSynthesizer) -> None:
    first = talker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    # Not `alive`: a process whose first thread is gone may have others that are still ending.
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert [clause.text for clause in talker.synthesize("back")] == ["back"]
    assert talker.pid != first


def test_a_hang_times_out_and_ends_the_child() -> None:
    engine = HostedSynthesizer(TALKER, deadline=0.3)
    engine.load()
    pid = engine.pid
    assert pid is not None
    with pytest.raises(EngineTimedOut):
        list(engine.synthesize("hang"))
    assert not alive(pid)
    assert [clause.text for clause in engine.synthesize("back")] == ["back"]
    engine.close()


def test_errors_keep_their_type_and_no_words_of_people(talker: HostedSynthesizer) -> None:
    with pytest.raises(EngineUnavailable, match="pip install talker"):
        HostedSynthesizer(TALKER, {"absent": True}).load()
    with pytest.raises(EngineError, match="ValueError") as caught:
        list(talker.synthesize("raise"))
    assert "secret" not in str(caught.value)


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    engine = HostedSynthesizer(TALKER)
    worker = threading.Thread(target=engine.load)
    worker.start()
    worker.join()
    pid = engine.pid
    assert [clause.text for clause in engine.synthesize("still here")] == ["still", "here"]
    assert engine.pid == pid
    engine.close()


def test_close_ends_the_child(talker: HostedSynthesizer) -> None:
    pid = talker.pid
    assert pid is not None
    talker.close()
    assert not alive(pid)
    assert talker.pid is None


def test_an_interrupt_from_the_terminal_is_not_for_the_child(talker: HostedSynthesizer) -> None:
    assert talker.pid is not None
    assert os.getsid(talker.pid) == talker.pid
    os.kill(talker.pid, signal.SIGINT)
    assert [clause.text for clause in talker.synthesize("still")] == ["still"]


def test_kill_of_the_parent_leaves_no_child() -> None:
    program = (
        f"from models.host import HostedSynthesizer; e = HostedSynthesizer({TALKER!r}); e.load();"
        "print(e.pid, flush=True); list(e.synthesize('hang'))"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    until(lambda: not alive(child))


def test_a_recognizer_can_be_hosted() -> None:
    engine = HostedRecognizer("tests.models_engines:Counter")
    engine.start(["yes"])
    engine.feed(np.ones(320, np.int16))
    engine.feed(np.ones(160, np.int16))
    assert engine.partial().confidence == 0.5
    assert engine.finish().text == "480"
    engine.abort()
    engine.close()


@pytest.mark.models
def test_piper_in_a_child_is_cancelled_within_50_ms() -> None:
    engine = HostedSynthesizer("models.tts_piper:PiperSynthesizer", {"length_scale": 1.0})
    engine.load()
    assert engine.rate == 22_050
    asked = 0.0

    def cancel() -> None:
        nonlocal asked
        asked = time.monotonic()
        engine.cancel()

    found = engine.synthesize(LONG)
    threading.Timer(0.05, cancel).start()
    assert list(found) == []
    assert time.monotonic() - asked < 0.05
    # The child itself has stopped as well: a short reply is not held up by the rest of the long one.
    assert [clause.text for clause in engine.synthesize("Okay.")] == ["Okay."]
    engine.close()


@pytest.mark.models
def test_piper_killed_in_a_sentence() -> None:
    engine = HostedSynthesizer("models.tts_piper:PiperSynthesizer")
    engine.load()
    assert engine.pid is not None
    found = engine.synthesize(LONG)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineDied):
        list(found)
    assert len(list(engine.synthesize("Back again."))) == 1
    engine.close()
