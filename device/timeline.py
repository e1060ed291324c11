"""Owns when things happened within a turn, and the picture of it: waveforms, turns, events and latencies as one SVG.

The picture is cut into rows of `ROW_S` seconds, like lines of text, so that a long recording stays readable. In each
row, from the top: turns, what was heard, near end, latencies, far end, what was said, event marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from audio import events as ev
from audio.events import Event
from audio.frames import RATE, TURNS_PER_EPOCH, Pcm, Samples, TurnId, seconds

ROW_S = 16
_WIDTH, _LEFT, _RIGHT = 1600, 64, 24
_PX = (_WIDTH - _LEFT - _RIGHT) / (ROW_S * RATE)  # pixels per sample
_WAVE = 56  # height of a waveform
_LANE = 15  # height of a line of labels
_CHAR = 6.3  # width of a character at 11 px, a little generous
_COLOURS = {"near": "#2563a8", "far": "#c2681c", "turn": "#7b8794", "mark": "#52606d", "late": "#a4243b"}
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class TurnTrace:
    """The moments of one turn, each None until it came."""

    turn: TurnId
    by: str = ""
    since: Samples | None = None
    speech_end: Samples | None = None
    utterance_end: Samples | None = None
    final: Samples | None = None
    decided: Samples | None = None
    reply_start: Samples | None = None
    reply_end: Samples | None = None
    end: Samples | None = None
    outcome: str = ""
    heard: str = ""
    said: str = ""

    @property
    def gap_ms(self) -> int | None:
        """The response gap: from the user's last voice to the reply's first sample."""
        return _between(self.speech_end, self.reply_start)

    def latencies(self) -> dict[str, int]:
        """Where the response gap went, in ms; only what is known."""
        parts = {
            "gap": self.gap_ms,
            "endpoint": _between(self.speech_end, self.utterance_end),
            "recognition": _between(self.utterance_end, self.final),
            "answer": _between(self.final, self.decided),
            "voice": _between(self.decided, self.reply_start),
        }
        return {name: value for name, value in parts.items() if value is not None}

    def take(self, event: Event) -> None:
        """Note a moment of this turn."""
        match event:
            case ev.TurnStarted():
                self.by, self.since = event.by, event.since
            case ev.UtteranceEnded():
                self.speech_end, self.utterance_end = event.speech_end, event.at
            case ev.FinalText():
                self.final, self.heard = event.at, event.text
            case ev.ReplyDecided():
                self.decided = event.at
            case ev.ReplyStarted():
                self.reply_start = event.at
            case ev.ReplyFinished() | ev.ReplyCut():
                self.reply_end, self.said = event.at, event.heard
            case ev.TurnEnded():
                self.end, self.outcome = event.at, event.outcome


@dataclass(slots=True)
class Turns:
    """The latest turns by id; older ones are forgotten, so that a service of months does not grow."""

    keep: int = 64
    traces: dict[TurnId, TurnTrace] = field(default_factory=dict)

    def take(self, event: Event) -> TurnTrace | None:
        """Note the event; the trace of its turn, or None when it has none."""
        turn = getattr(event, "turn", None)
        if not turn or isinstance(event, ev.StaleDropped | ev.EngineFailed):
            return None
        trace = self.traces.setdefault(turn, TurnTrace(turn))
        trace.take(event)
        while len(self.traces) > self.keep:
            del self.traces[next(iter(self.traces))]
        return trace


def _between(start: Samples | None, end: Samples | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000 / RATE)


def turns_of(events: Iterable[Event]) -> list[TurnTrace]:
    """All turns of a recording, in order."""
    turns = Turns(keep=1_000_000)
    for event in events:
        turns.take(event)
    return list(turns.traces.values())


def draw(
    near: Pcm,
    far: Pcm,
    events: Sequence[tuple[int, Event]],
    out: Path,
    *,
    texts: bool = True,
    epoch: int | None = None,
    title: str = "wakeline",
) -> None:
    """Write the picture of one epoch (default: the first one) to `out`. Without `texts` nobody's words are in it."""
    epoch = epoch if epoch is not None or not events else events[0][0]
    ours = [event for of, event in events if of == epoch]
    turns = turns_of(ours)
    length = max([len(near), len(far), RATE, *(event.at for event in ours)])
    rows = -(-length // (ROW_S * RATE))
    body: list[str] = []
    y = 34.0
    for row in range(rows):
        picture = _Row(Samples(row * ROW_S * RATE), y)
        picture.draw(near, far, ours, turns, texts)
        body += picture.svg
        y = picture.y + 18
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y:.0f}" viewBox="0 0 {_WIDTH} {y:.0f}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="11">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n'
    )
    caption = _text(_LEFT, 20, f"{title}: {seconds(length):.1f} s, {len(turns)} turns", "#1f2933", size=14)
    out.write_text(head + "\n".join([caption, *body]) + "\n</svg>\n", encoding="utf-8")


class _Label(NamedTuple):
    at: Samples
    text: str
    colour: str


class _Row:
    """Draws one row from `start` downwards from `y`; `svg` collects it."""

    def __init__(self, start: Samples, y: float) -> None:
        self.start = start
        self.end = Samples(start + ROW_S * RATE)
        self.top = y
        self.y = y
        self.svg: list[str] = []

    def draw(self, near: Pcm, far: Pcm, events: Sequence[Event], turns: Sequence[TurnTrace], texts: bool) -> None:
        heard = [
            _Label(t.since or t.final or Samples(0), f"heard: {t.heard}", _COLOURS["near"]) for t in turns if t.heard
        ]
        said = [
            _Label(t.reply_start or t.reply_end or Samples(0), f"said: {t.said}", _COLOURS["far"])
            for t in turns
            if t.said
        ]
        self._axis()
        band_top = self.y
        self.y += _LANE
        self._labels(heard if texts else [])
        self._wave("near", near)
        latency_y = self.y + 10
        self.y += 20
        self._wave("far", far)
        self._labels(said if texts else [])
        mark_top = self.y
        marks = [_Label(event.at, text, _COLOURS["mark"]) for event in events if (text := mark(event, texts=texts))]
        self._labels(marks, tick_from=band_top + _LANE)
        self.y = max(self.y, mark_top + _LANE)
        for trace in turns:
            self._band(trace, band_top)
            self._latency(trace, latency_y)
        for event in events:
            if isinstance(event, ev.PartialText) and self._inside(event.at):
                self.svg.append(
                    f'<circle cx="{self._x(event.at):.1f}" cy="{latency_y}" r="2" fill="{_COLOURS["near"]}"/>'
                )

    def _inside(self, at: int) -> bool:
        return self.start <= at < self.end

    def _x(self, at: int) -> float:
        return _LEFT + (min(max(at, self.start), self.end) - self.start) * _PX

    def _axis(self) -> None:
        self.y += 12
        for second in range(ROW_S + 1):
            x = _LEFT + second * RATE * _PX
            self.svg.append(_text(x, self.y, f"{seconds(self.start) + second:.0f} s", "#9aa5b1", anchor="middle"))
            self.svg.append(_line(x, self.y + 4, x, self.y + 8, "#9aa5b1"))
        self.y += 10

    def _wave(self, name: str, pcm: Pcm) -> None:
        """Lowest and highest sample of each pixel column, scaled by the square root so that quiet speech is seen."""
        middle = self.y + _WAVE / 2
        self.svg.append(_text(8, middle + 4, name, _COLOURS[name]))
        self.svg.append(_line(_LEFT, middle, _WIDTH - _RIGHT, middle, "#d9e2ec"))
        part = pcm[self.start : self.end]
        step = max(1, round(1 / _PX))
        columns = len(part) // step
        if columns:
            blocks = part[: columns * step].reshape(columns, step).astype(np.float64) / 32768
            low, high = (np.sign(v) * np.sqrt(np.abs(v)) * _WAVE / 2 for v in (blocks.min(1), blocks.max(1)))
            xs = _LEFT + np.arange(columns) * step * _PX
            over = [f"{x:.1f},{middle - v:.1f}" for x, v in zip(xs, high, strict=True)]
            under = [f"{x:.1f},{middle - v:.1f}" for x, v in zip(xs[::-1], low[::-1], strict=True)]
            self.svg.append(f'<polygon points="{" ".join(over + under)}" fill="{_COLOURS[name]}" stroke="none"/>')
        self.y += _WAVE

    def _labels(self, labels: Sequence[_Label], tick_from: float | None = None) -> None:
        """In as many lanes as it takes that no two of them touch."""
        lanes: list[float] = []
        top = self.y
        for label in sorted((one for one in labels if self._inside(one.at)), key=lambda one: one.at):
            room = int((_WIDTH - _LEFT) / _CHAR)
            shown = label.text if len(label.text) <= room else label.text[: room - 1] + "…"
            width = len(shown) * _CHAR + 10
            mark_x = self._x(label.at)
            x = max(4.0, min(mark_x, _WIDTH - 4 - width))
            lane = next((n for n, taken in enumerate(lanes) if taken <= x), len(lanes))
            lanes[lane : lane + 1] = [x + width]
            y = top + lane * _LANE + 11
            if tick_from is not None:
                self.svg.append(_line(mark_x, tick_from, mark_x, y, label.colour, opacity=0.25))
                size = f'width="{width - 12:.1f}" height="13"'
                self.svg.append(f'<rect x="{x:.1f}" y="{y - 10:.1f}" {size} fill="#fff" opacity="0.85"/>')
            self.svg.append(_text(x + 2, y, shown, label.colour))
        self.y = top + len(lanes) * _LANE + 4

    def _band(self, trace: TurnTrace, top: float) -> None:
        start = trace.since if trace.since is not None else trace.decided or trace.reply_start
        end = trace.end if trace.end is not None else Samples(self.end)
        if start is None or end <= self.start or start >= self.end:
            return
        x, right = self._x(start), self._x(end)
        size = f'width="{max(1.0, right - x):.1f}" height="{self.y - top:.1f}"'
        self.svg.insert(0, f'<rect x="{x:.1f}" y="{top:.1f}" {size} fill="{_COLOURS["turn"]}" opacity="0.10"/>')
        self.svg.append(_line(x, top, x, self.y, _COLOURS["turn"], opacity=0.6))
        outcome = f": {trace.outcome.replace('_', ' ')}" if trace.outcome else ""
        words = f"turn {trace.turn % TURNS_PER_EPOCH}, {trace.by}{outcome}"
        fitting = words[: max(0, int((right - x - 6) / _CHAR))]
        self.svg.append(_text(x + 4, top + 11, fitting, _COLOURS["turn"]))

    def _latency(self, trace: TurnTrace, y: float) -> None:
        """A bracket from the user's last voice to the reply's first sample."""
        if trace.speech_end is None or trace.reply_start is None:
            return
        if trace.reply_start < self.start or trace.speech_end >= self.end:
            return
        x, right = self._x(trace.speech_end), self._x(trace.reply_start)
        colour = _COLOURS["late"]
        self.svg.append(_line(x, y, right, y, colour))
        self.svg += [_line(end, y - 5, end, y + 5, colour) for end in (x, right)]
        if self._inside(trace.reply_start):
            self.svg.append(_text(right + 5, y + 4, f"{trace.gap_ms} ms", colour))


def mark(event: Event, *, texts: bool = True) -> str:
    """The label of an event in the picture; empty for those that would only clutter it."""
    match event:
        case ev.WakeHeard():
            return f"wake {event.word} {event.score:.2f}"
        case ev.UtteranceEnded():
            return f"end: {event.reason}"
        case ev.FinalText():
            return "final" if event.confidence is None else f"final {event.confidence:.2f}"
        case ev.ReplyCut():
            return f"cut by {event.by}"
        case ev.EngineFailed():
            return f"{event.engine}: {event.code}"
        case ev.AlertRaised():
            return f"{event.kind} rings"
        case ev.CallDialling():
            return f"dial {event.destination}" if texts else "dial"
        case ev.CallEnded():
            return f"call ended: {event.cause}"
        case ev.SamplesLost():
            return f"{event.count} samples lost"
        case ev.MicrophoneLost():
            return f"microphone lost: {event.code}"
    return _MARKS.get(type(event), "")


_MARKS: dict[type, str] = {
    ev.Pressed: "press",
    ev.Released: "release",
    ev.SpeechStarted: "speech",
    ev.SpeechEnded: "silence",
    ev.ReplyDecided: "decided",
    ev.NoticeDecided: "notice",
    ev.ReplyStarted: "reply",
    ev.ReplyFinished: "reply done",
    ev.StaleDropped: "stale",
    ev.AlertCleared: "alert cleared",
    ev.CallRinging: "call rings",
    ev.CallLive: "call live",
    ev.MicrophoneMuted: "muted",
    ev.MicrophoneUnmuted: "unmuted",
    ev.MicrophoneOpened: "microphone open",
    ev.EarsStarted: "ears",
    ev.EarsReady: "ready",
}


def _text(x: float, y: float, text: str, colour: str, *, size: int = 11, anchor: str = "start") -> str:
    words = escape(_NOT_XML.sub("", text))
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">{words}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, opacity: float = 1.0) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" opacity="{opacity}"/>'
