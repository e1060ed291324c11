"""The table alone: complete, and no storm of events brings the conversation down or leaves a turn open."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import events as fact
from audio.conversation import Conversation
from audio.events import Event
from audio.frames import FRAME, Samples, silence
from audio.turn import (
    CALL,
    CALL_IGNORED,
    IGNORED,
    MICROPHONE,
    MICROPHONE_IGNORED,
    TURN,
    Call,
    Microphone,
    On,
    OnCall,
    OnMicrophone,
    Turn,
)
from models.scripted import Script
from tests.scenario import conversation


@pytest.mark.parametrize("state", Turn)
def test_every_pair_is_a_transition_or_ignored(state: Turn) -> None:
    assert set(TURN[state]) | IGNORED[state] == set(On)
    assert not set(TURN[state]) & IGNORED[state]


def test_the_other_regions_are_complete() -> None:
    for call in Call:
        assert set(CALL[call]) | CALL_IGNORED[call] == set(OnCall)
        assert not set(CALL[call]) & CALL_IGNORED[call]
    for microphone in Microphone:
        assert set(MICROPHONE[microphone]) | MICROPHONE_IGNORED[microphone] == set(OnMicrophone)
        assert not set(MICROPHONE[microphone]) & MICROPHONE_IGNORED[microphone]


def test_every_action_exists() -> None:
    for transitions in TURN.values():
        for step in transitions.values():
            assert callable(getattr(Conversation, f"_do_{step.action}"))


_turns = st.sampled_from([100_000, 100_001, 100_002, 100_003, 5])
_texts = st.sampled_from(["", "stop", "what time is it"])
_outside: st.SearchStrategy[Event] = st.one_of(
    st.builds(fact.MuteRequested, muted=st.booleans()),
    st.builds(fact.MicrophoneOpened),
    st.builds(fact.MicrophoneLost, code=st.just("device-failed")),
    st.builds(fact.SamplesLost, count=st.integers(0, 400_000)),
    st.builds(fact.Pressed),
    st.builds(fact.Released),
    st.builds(fact.PartialText, turn=_turns, text=_texts),
    st.builds(fact.FinalText, turn=_turns, text=_texts),
    st.builds(fact.ReplyDecided, turn=_turns, reply=st.just("r"), text=_texts, follow_up=st.booleans()),
    st.builds(fact.NoticeDecided, reply=st.just("n"), text=_texts),
    st.builds(fact.ClauseSynthesized, turn=_turns, index=st.just(0), text=_texts, pcm=st.just(bytes(3200))),
    st.builds(fact.SynthesisFinished, turn=_turns, clauses=st.just(1)),
    st.builds(fact.EngineFailed, engine=st.just("tts"), code=st.just("engine-died"), turn=_turns),
    st.builds(fact.AlertRaised, alert=st.sampled_from("ab"), kind=st.just("timer")),
    st.builds(fact.AlertCleared, alert=st.sampled_from("ab")),
    st.builds(fact.CallDialling, call=st.just("c"), link=st.just("l"), destination=st.just("d")),
    st.builds(fact.CallLive, call=st.just("c")),
    st.builds(fact.CallEnded, call=st.just("c"), cause=st.just("completed")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(_outside, st.sampled_from(["voice", "wake", "silence", "second"])), max_size=40))
def test_a_storm_never_raises_and_every_turn_ends(storm: list[Event | str]) -> None:
    script = Script()
    sounds = {"voice": script.say("stop"), "wake": script.wake(frames=10), "silence": script.pause(100)}
    core = conversation(script)
    seen: list[Event] = []

    def hear(pcm: np.ndarray) -> None:
        for start in range(0, len(pcm), FRAME):
            core.feed(pcm[start : start + FRAME], core.pull())
            seen.extend(core.take().events)

    for event in storm:
        if event == "second":
            core.advance(Samples(core.now + 16_000))
        elif isinstance(event, str):
            hear(sounds[event])
        else:
            core.receive(event)
    for alert in "ab":
        core.receive(fact.AlertCleared(alert=alert))
    for _ in range(120):  # Nobody answers any more: time-outs bring everything to rest.
        core.pull()
        core.advance(core.deadline() or Samples(core.now + 16_000))
        seen.extend(core.take().events)
        for _ in range(20):
            core.pull(1600)
    seen.extend(core.take().events)
    assert core.state is Turn.IDLE
    began = [event.turn for event in seen if isinstance(event, fact.TurnStarted)]
    ended = [event.turn for event in seen if isinstance(event, fact.TurnEnded)]
    assert began == ended == sorted(set(began))
    assert all(a.at <= b.at for a, b in itertools.pairwise(seen) if not isinstance(b, fact.TurnStarted))


def test_an_older_turn_is_dropped_and_counted() -> None:
    core = conversation(Script())
    core.receive(fact.FinalText(turn=99, text="late"))
    assert [event for event in core.take().events if isinstance(event, fact.StaleDropped)]
    core.feed(silence(FRAME), core.pull())
    assert core.state is Turn.IDLE


def test_the_diagram_in_the_docs_is_drawn_from_the_table() -> None:
    from tools.diagram import OUT, render

    assert OUT.read_text() == render(), "run python -m tools.diagram"
