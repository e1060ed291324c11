"""The caller's words cut the assistant's speech, or they do not: the policy alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.web.interrupt import Floor, Speech, heard
from device.web.vapi_messages import Message, SpeechUpdate, Transcript, UserInterrupted


def speech(status: str, turn: str = "", role: str = "assistant") -> SpeechUpdate:
    return SpeechUpdate(kind="speech-update", call="c", role=role, status=status, turn=turn)


def partial(text: str, confidence: float | None = None, **changed: Any) -> Transcript:
    fields = {"role": "user", "final": False, "turn": ""} | changed
    return Transcript(kind="transcript", call="c", text=text, confidence=confidence, **fields)


def cuts(*messages: Message, step_ms: int = 100) -> list[int]:
    """Which of the messages interrupt."""
    floor, found = Floor(), []
    for n, message in enumerate(messages):
        floor, now = heard(floor, message, 10_000 + n * step_ms)
        if now:
            found.append(n)
    return found


START = speech("started", "1")


@pytest.mark.parametrize(
    ("text", "confidence", "expected"),
    [
        ("8pm", 0.7, True),
        ("8pm", 0.69, False),
        ("8", 0.99, False),
        ("no", 0.99, False),
        ("um", 0.99, False),
        ("uh-huh", 0.99, False),
        ("Okay.", 0.99, False),
        ("yeah, right, okay", 0.99, False),
        ("...", 0.99, False),
        ("", 0.99, False),
        ("okay 8pm works", 0.9, True),
        ("stop", 0.72, True),
        ("stop", None, False),
        ("that works fine", None, True),
        ("um uh um okay", None, False),
    ],
)
def test_one_partial(text: str, confidence: float | None, expected: bool) -> None:
    assert bool(cuts(START, partial(text, confidence))) is expected


def test_the_dialogue_of_the_agent_with_three_times() -> None:
    said = [partial("um"), partial("8"), partial("8pm"), partial("8pm works"), partial("8pm works for me")]
    assert cuts(START, *said) == [3], "eight is too short; 8pm agrees with it and cuts, once"


def test_two_partials_that_do_not_agree() -> None:
    assert cuts(START, partial("hate"), partial("wait")) == []
    assert cuts(START, partial("hate"), partial("wait"), partial("wait please")) == [3]
    assert cuts(START, partial("tomo"), partial("tomorrow")) == [2], "a word half heard"
    assert cuts(START, partial("stop", final=True), partial("stop")) == [], "a final one ends its words"


def test_only_the_caller_over_the_assistants_speech() -> None:
    long = partial("that works for me")
    assert cuts(long) == []
    assert cuts(START, speech("stopped", "1"), long) == []
    assert cuts(START, partial("we have availability today", role="assistant")) == []
    assert cuts(speech("started", role="user"), long) == []
    assert cuts(START, partial("that works for me", 0.99, final=True)) == []


def test_once_a_turn() -> None:
    long = partial("that works for me")
    assert cuts(START, long, long, START, long, speech("stopped", "1"), START, long) == [1]
    assert cuts(START, long, speech("started", "2"), long) == [1, 3]
    assert cuts(START, UserInterrupted(kind="user-interrupted", call="c", turn="1"), long) == []
    bare = speech("started")
    assert cuts(bare, long, bare, long) == [1], "100 ms later it is the same turn"
    assert cuts(bare, long, bare, long, step_ms=400) == [1, 3]


@given(
    st.lists(
        st.sampled_from([START, speech("started"), speech("started", "2"), speech("stopped"), speech("stopped", "1")])
        | st.builds(partial, st.sampled_from(["um", "8pm", "8pm works for me", ""]), st.none() | st.floats(0, 1)),
        max_size=30,
    )
)
def test_never_while_the_assistant_is_silent_nor_twice(messages: list[Message]) -> None:
    floor = Floor()
    for n, message in enumerate(messages):
        before = floor.speech
        floor, now = heard(floor, message, n * 100)
        if now:
            assert before is Speech.SPEAKING
            assert floor.speech is Speech.CUT
