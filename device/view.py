"""Owns what a person sees of the running appliance: plain lines in a pipe or journal, a calm live view in a terminal.

Every exchange is printed as `heard: ` and `said: `, alone on their lines, so that answers can be picked out; times
stand on a `time: ` line of their own. Words are left out where nobody watches but a log, or privacy asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from audio.events import (
    AlertCleared,
    AlertRaised,
    CallDialling,
    CallEnded,
    CallLive,
    CallRinging,
    EarsReady,
    EarsStarted,
    EngineFailed,
    Event,
    FinalText,
    LevelMeasured,
    MicrophoneLost,
    MicrophoneMuted,
    MicrophoneOpened,
    MicrophoneUnmuted,
    PartialText,
    ReplyCut,
    ReplyFinished,
    ReplyStarted,
    TurnEnded,
    TurnStarted,
    UtteranceEnded,
)
from audio.frames import Samples, ms
from device.timeline import Turns, TurnTrace

REDRAW = ms(100)
"""Levels and partials redraw the live view this often; everything else at once."""


class View(Protocol):
    """Fed with every event of the loop, in order."""

    def show(self, event: Event) -> None: ...
    def heard(self, text: str) -> None:
        """For a text that came without events (`wakeline ask`)."""
        ...

    def said(self, text: str) -> None: ...
    def note(self, text: str) -> None:
        """A line about the appliance itself; never a person's words."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def words_allowed(stream: TextIO, *, privacy: bool = False, environ: Mapping[str, str] = os.environ) -> bool:
    """False under systemd, where the stream ends in the journal, and where privacy asks for it."""
    return not privacy and (stream.isatty() or not _is_journal(stream, environ.get("JOURNAL_STREAM", "")))


def _is_journal(stream: TextIO, journal: str) -> bool:
    """systemd names the journal as device:inode. A terminal session may inherit that name for a stream that is none."""
    if not journal:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return True
    return journal == f"{status.st_dev}:{status.st_ino}"


def view_for(stream: TextIO, *, privacy: bool = False, environ: Mapping[str, str] = os.environ) -> View:
    """The live view in a terminal that can draw, plain lines anywhere else."""
    words = words_allowed(stream, privacy=privacy, environ=environ)
    if stream.isatty() and environ.get("TERM", "dumb") != "dumb":
        return LiveView(Console(file=stream, highlight=False, markup=False), words=words)
    return PlainView(stream, words=words)


class PlainView:
    """One line a fact, flushed at once."""

    def __init__(self, stream: TextIO, *, words: bool = True) -> None:
        self._stream = stream
        self._lines = _Lines(self._print, words=words)

    def show(self, event: Event) -> None:
        self._lines.show(event)

    def heard(self, text: str) -> None:
        self._lines.heard(text)

    def said(self, text: str) -> None:
        self._lines.said(text)

    def note(self, text: str) -> None:
        self._print(text)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class LiveView:
    """The lines of the plain view scroll by; below them stand state, level, partial text and the last latencies."""

    def __init__(self, console: Console, *, words: bool = True) -> None:
        self._words = words
        self._lines = _Lines(self.note, words=words)
        self._state = "starting"
        self._level = LevelMeasured(near_db=-90.0, far_db=-90.0, floor_db=-90.0)
        self._partial = ""
        self._drawn = Samples(0)
        # no refresh thread: events come in often enough, and a thread would draw half-changed state
        self._live = Live(self._draw(), console=console, auto_refresh=False, transient=True)
        self._live.start(refresh=True)

    def show(self, event: Event) -> None:
        self._lines.show(event)
        self._state = _state_after(event, self._state)
        match event:
            case LevelMeasured():
                self._level = event
            case PartialText(text=text):
                self._partial = text
            case FinalText() | TurnEnded() | TurnStarted() | EarsStarted():
                self._partial = ""
        frequent = isinstance(event, LevelMeasured | PartialText)
        if not frequent or not 0 <= event.at - self._drawn < REDRAW:
            self._drawn = event.at
            self._live.update(self._draw(), refresh=True)

    def heard(self, text: str) -> None:
        self._lines.heard(text)

    def said(self, text: str) -> None:
        self._lines.said(text)

    def note(self, text: str) -> None:
        prefix, colon, rest = text.partition(": ")
        style = {"heard": "bold cyan", "said": "bold green", "call": "bold magenta", "time": "dim"}.get(prefix, "dim")
        if prefix == "time":
            self._live.console.print(Text(text, style=style))
        else:
            self._live.console.print(Text.assemble((prefix + colon, style), rest))

    def close(self) -> None:
        self._live.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self) -> RenderableType:
        meter = Table.grid(padding=(0, 1))
        for name, level in (("microphone", self._level.near_db), ("speaker", self._level.far_db)):
            meter.add_row(
                Text(name, style="dim"), ProgressBar(total=60, completed=_bar(level), width=30), f"{level:4.0f} dB"
            )
        rows: list[RenderableType] = [Text(""), Text(self._state, style=_STYLES.get(self._state, "bold")), meter]
        partial = self._partial if self._words else _count(self._partial)
        rows.append(Text(f"... {partial}" if partial else "", style="italic", overflow="ellipsis", no_wrap=True))
        return Group(*rows)


class _Lines:
    """Events to lines: what both views print."""

    def __init__(self, put: Callable[[str], None], *, words: bool) -> None:
        self._put = put
        self._words = words
        self._turns = Turns()

    def show(self, event: Event) -> None:
        trace = self._turns.take(event)
        match event:
            case FinalText(text=text):
                self.heard(text)
            case ReplyFinished(heard=words):
                self.said(words)
                self._times(trace)
            case ReplyCut(heard=words, by=by):
                self.said(words)
                self._put(f"cut: by {by}")
                self._times(trace)
            case TurnEnded(outcome="not_heard" | "failed" as outcome):
                self._put(f"turn: {outcome.replace('_', ' ')}")
            case CallDialling(link=link, destination=destination):
                self._put(f"call: dialling {destination} by {link}" if self._words else f"call: dialling by {link}")
            case CallRinging():
                self._put("call: ringing")
            case CallLive():
                self._put("call: live")
            case CallEnded(cause=cause):
                self._put(f"call: ended, {cause}")
            case _:
                self._about_the_process(event)

    def _about_the_process(self, event: Event) -> None:
        match event:
            case AlertRaised(kind=kind):
                self._put(f"ringing: {kind}")
            case MicrophoneLost(code=code):
                self._put(f"microphone: lost, {code}")
            case MicrophoneMuted():
                self._put("microphone: muted")
            case MicrophoneOpened() | MicrophoneUnmuted():
                self._put("microphone: open")
            case EngineFailed(engine=engine, code=code):
                self._put(f"engine: {engine}, {code}")
            case EarsReady(hearing=hearing):
                self._put("ready: listening" if hearing else "ready: without a microphone")

    def heard(self, text: str) -> None:
        self._put(f"heard: {text if self._words else _count(text)}".rstrip())

    def said(self, text: str) -> None:
        self._put(f"said: {text if self._words else _count(text)}".rstrip())

    def _times(self, trace: TurnTrace | None) -> None:
        parts = trace.latencies() if trace is not None else {}
        if parts:
            self._put("time: " + ", ".join(f"{name} {value} ms" for name, value in parts.items()))


_STYLES = {"listening": "bold cyan", "thinking": "bold yellow", "speaking": "bold green", "muted": "bold red"}


def _state_after(event: Event, state: str) -> str:
    """In a person's words. A view of its own: it must not matter to anything."""
    match event:
        case EarsStarted():
            return "starting"
        case EarsReady(hearing=hearing):
            return "idle" if hearing else "no microphone"
        case MicrophoneLost():
            return "no microphone"
        case MicrophoneMuted():
            return "muted"
        case AlertRaised():
            return "ringing"
        case TurnStarted(by="notice"):
            return "thinking"
        case TurnStarted():
            return "listening"
        case UtteranceEnded():
            return "thinking"
        case ReplyStarted():
            return "speaking"
        case CallLive():
            return "in a call"
        case TurnEnded() | MicrophoneOpened() | MicrophoneUnmuted() | AlertCleared() | CallEnded():
            return "idle"
    return state


def _bar(level_db: float) -> float:
    """-60 dB and less is empty, 0 dB full."""
    return min(60.0, max(0.0, level_db + 60.0))


def _count(text: str) -> str:
    words = len(text.split())
    return f"({words} word{'' if words == 1 else 's'})" if words else ""
