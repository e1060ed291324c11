"""What a person sees: plain lines with exact prefixes, the live view, words where somebody watches; terminal keys."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console

from audio.events import (
    CallDialling,
    CallEnded,
    EarsReady,
    Event,
    FinalText,
    LevelMeasured,
    MicrophoneMuted,
    PartialText,
    Pressed,
    Released,
    ReplyCut,
    ReplyDecided,
    ReplyFinished,
    ReplyStarted,
    TurnEnded,
    TurnStarted,
    UtteranceEnded,
)
from audio.frames import TurnId, ms
from device.button import Key, TalkKey, TerminalKeys
from device.view import LiveView, PlainView, view_for, words_allowed

ONE = TurnId(100_001)
VISIT: list[Event] = [
    EarsReady(hearing=True),
    TurnStarted(turn=ONE, by="wake", since=ms(500), at=ms(600)),
    PartialText(turn=ONE, text="what ti", at=ms(900)),
    UtteranceEnded(turn=ONE, reason="silence", speech_end=ms(1500), at=ms(2100)),
    FinalText(turn=ONE, text="what time is it", at=ms(2200)),
    ReplyDecided(turn=ONE, reply="r", text="It is three thirty.", at=ms(2210)),
    ReplyStarted(turn=ONE, reply="r", at=ms(2350)),
    ReplyFinished(turn=ONE, reply="r", heard="It is three thirty.", at=ms(4000)),
    TurnEnded(turn=ONE, outcome="answered", at=ms(4000)),
    CallDialling(call="c", link="practice", destination="front desk"),
    CallEnded(call="c", cause="no-answer"),
]


def printed(events: list[Event], *, words: bool = True) -> list[str]:
    out = io.StringIO()
    with PlainView(out, words=words) as view:
        for event in events:
            view.show(event)
    return out.getvalue().splitlines()


def test_plain_lines_can_be_picked_out() -> None:
    assert printed(VISIT) == [
        "ready: listening",
        "heard: what time is it",
        "said: It is three thirty.",
        "time: gap 850 ms, endpoint 600 ms, recognition 100 ms, answer 10 ms, voice 140 ms",
        "call: dialling front desk by practice",
        "call: ended, no-answer",
    ]


def test_without_words_only_their_number_is_printed() -> None:
    lines = printed(VISIT, words=False)
    assert "heard: (4 words)" in lines
    assert "said: (4 words)" in lines
    assert "call: dialling by practice" in lines


def test_a_cut_reply_shows_what_was_really_said() -> None:
    cut = ReplyCut(turn=ONE, reply="r", by="wake", heard="It is", at=ms(3000))
    assert printed([cut]) == ["said: It is", "cut: by wake"]


def test_nothing_heard_has_no_words() -> None:
    assert printed([FinalText(turn=ONE, text="")]) == ["heard:"]


def test_texts_that_came_without_events() -> None:
    out = io.StringIO()
    view = view_for(out, environ={})
    view.heard("what time is it")
    view.said("Noon.")
    assert out.getvalue() == "heard: what time is it\nsaid: Noon.\n"


def test_words_stay_out_of_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert not words_allowed(stream, environ=journal)
        assert words_allowed(stream, environ={"JOURNAL_STREAM": "8:1"}), "inherited from a session: not this stream"
        assert words_allowed(stream, environ={})
        assert not words_allowed(stream, privacy=True, environ={})
    assert not words_allowed(io.StringIO(), environ=journal), "in doubt no words"


def live(events: list[Event], *, words: bool = True) -> tuple[str, LiveView]:
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=80, color_system=None), words=words)
    for event in events:
        view.show(event)
    view.close()
    return out.getvalue(), view


def test_the_live_view_has_state_level_partial_and_the_lines() -> None:
    out, _ = live([VISIT[0], LevelMeasured(near_db=-23, far_db=-80, floor_db=-60, at=ms(200)), *VISIT[1:]])
    for shown in ("listening", "-23 dB", "... what ti", "thinking", "heard: what time is it", "speaking", "gap 850 ms"):
        assert shown in out


def test_the_live_view_hides_words_when_asked() -> None:
    out, _ = live(VISIT, words=False)
    assert "what" not in out
    assert "... (2 words)" in out


def test_levels_redraw_ten_times_a_second_at_most() -> None:
    levels: list[Event] = [LevelMeasured(near_db=-1.0 - n, far_db=-80, floor_db=-60, at=ms(10 * n)) for n in range(100)]
    out, _ = live(levels)
    assert out.count("microphone") <= 13


def test_muted_is_seen() -> None:
    assert "muted" in live([MicrophoneMuted()])[0]


# -- the keys -----------------------------------------------------------------------------------------------------
@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """The person's end and the program's end of a real terminal."""
    person, program = pty.openpty()
    with os.fdopen(program, "r") as stream:
        yield person, stream
    os.close(person)


def test_keys_are_read_at_once_and_the_terminal_is_put_back(terminal: tuple[int, TextIO]) -> None:
    person, stream = terminal
    before = termios.tcgetattr(stream.fileno())

    async def story() -> list[Key]:
        got: list[Key] = []
        async with asyncio.timeout(10):
            os.write(person, b" x\n")  # typed before anybody read: without a mode change it would need the newline
            async for key in TerminalKeys(stream).hits():
                got.append(key)
                if len(got) == 1:
                    assert not termios.tcgetattr(stream.fileno())[3] & termios.ICANON
                    os.write(person, b"\x1b[A\x1bOM\x1b[1;5mmq")  # arrows and the like are no keys of ours
                if key is Key.QUIT:
                    break
        return got

    assert asyncio.run(story()) == [Key.TALK, Key.MUTE, Key.QUIT]
    assert termios.tcgetattr(stream.fileno()) == before


def test_the_terminal_is_put_back_when_the_reader_is_cancelled(terminal: tuple[int, TextIO]) -> None:
    _, stream = terminal
    before = termios.tcgetattr(stream.fileno())

    async def story() -> None:
        hits = TerminalKeys(stream).hits()
        waiting = asyncio.create_task(anext(hits))  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            while termios.tcgetattr(stream.fileno())[3] & termios.ICANON:
                await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(story())
    assert termios.tcgetattr(stream.fileno()) == before


def test_the_end_of_the_terminal_ends_the_keys(tmp_path: Path) -> None:
    person, program = pty.openpty()

    async def story(stream: TextIO) -> list[Key]:
        async with asyncio.timeout(10):
            asyncio.get_running_loop().call_soon(os.close, person)
            return [key async for key in TerminalKeys(stream).hits()]

    with os.fdopen(program, "r") as stream:
        assert asyncio.run(story(stream)) == []


def test_no_terminal_no_keys(tmp_path: Path) -> None:
    async def story(stream: TextIO) -> list[Key]:
        return [key async for key in TerminalKeys(stream).hits()]

    with (tmp_path / "f").open("w+") as stream:
        assert not TerminalKeys(stream).available
        assert asyncio.run(story(stream)) == []
    assert not TerminalKeys(io.StringIO()).available


def test_space_toggles_and_follows_the_turn() -> None:
    talk = TalkKey()
    assert talk.pressed() == Pressed(source="terminal")
    assert talk.pressed() == Released(source="terminal")
    talk.pressed()
    talk.see(UtteranceEnded(turn=ONE, reason="silence", speech_end=ms(1)))
    assert isinstance(talk.pressed(), Pressed), "silence ended it already: this hit begins again"
    talk.see(TurnEnded(turn=ONE, outcome="nothing_said"))
    talk.see(TurnStarted(turn=ONE, by="press", since=ms(1)))
    assert isinstance(talk.pressed(), Released), "begun by `wakeline press`: space may end it"
