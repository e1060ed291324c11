"""The wire: every message survives it, however it is cut; nonsense is one typed error; what may be dropped is."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio import events as fact
from audio.commands import Answer
from audio.settings import EndpointSettings, LoopSettings
from audio.wire import EarsConfig, Message, Outbox, StopEars, Unframer, WireError, encode, receive_all, send_all

MESSAGES: list[Message] = [
    EarsConfig(epoch=3, loop=LoopSettings(endpoint=EndpointSettings(silence_ms=400)), input="mic", output=2),
    fact.WakeHeard(at=5, word="hey_jarvis", score=0.5, word_end=3),
    fact.ReplyDecided(turn=1, reply="r", text="héllo", phrases=("yes", "no"), follow_up=True),
    Answer(turn=300_001, text="what time is it", confidence=None),
    fact.MicrophoneMuted(at=9),
    StopEars(),
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.integers(1, 64))
def test_messages_survive_any_cut(messages: list[Message], size: int) -> None:
    data = b"".join(encode(message) for message in messages)
    unframer = Unframer()
    found = [m for at in range(0, len(data), size) for m in unframer.push(data[at : at + size])]
    assert found == messages


@given(st.binary(max_size=200))
def test_nonsense_is_one_typed_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        list(Unframer().push(data))


def test_a_frame_that_is_too_large_is_refused() -> None:
    with pytest.raises(WireError):
        list(Unframer().push(b"\xff\xff\xff\xff"))


def test_levels_and_partials_coalesce_finals_never() -> None:
    outbox = Outbox()
    for index in range(5):
        outbox.put(fact.LevelMeasured(near_db=-index, far_db=0, floor_db=0))
        outbox.put(fact.PartialText(turn=1, text=str(index)))
        outbox.put(fact.FinalText(turn=1, text=str(index)))
    outbox.close()
    sent = []
    while (message := outbox.get()) is not None:
        sent.append(message)
    assert [m.text for m in sent if isinstance(m, fact.FinalText)] == list("01234")
    assert [m.text for m in sent if isinstance(m, fact.PartialText)] == ["4"]
    assert len([m for m in sent if isinstance(m, fact.LevelMeasured)]) == 1


def test_an_end_that_does_not_read_is_noticed() -> None:
    outbox = Outbox()

    def flood() -> None:
        for index in range(10_000):
            outbox.put(fact.FinalText(turn=index, text=""))

    with pytest.raises(WireError):
        flood()


def test_over_a_socket_until_the_end_of_file() -> None:
    ours, theirs = socket.socketpair()
    outbox = Outbox()
    sender = threading.Thread(target=send_all, args=(ours, outbox))
    sender.start()
    for message in MESSAGES:
        outbox.put(message)
    outbox.close()
    sender.join(5)
    ours.close()
    assert list(receive_all(theirs)) == MESSAGES
    theirs.close()
