"""Does the appliance hear itself? Replies over a loopback echo path, each with the follow-up window open behind it.

    python -m tools.selfhear REPLIES [--voice piper|hibari] [--loopback MS]

Needs PulseAudio (the virtual card of the tests). Counts what must not be: replies that were cut, turns that nobody but
the echo can have begun. Exit status 1 when there was one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

from audio.events import (
    Event,
    MicrophoneOpened,
    NoticeDecided,
    ReplyCut,
    ReplyFinished,
    SpeechStarted,
    TurnStarted,
    WakeHeard,
)
from audio.settings import EndpointSettings, LoopSettings
from audio.wire import EarsConfig
from device.bridge import EarsProcess
from tests.virtual_card import virtual_card

REPLIES = (
    "It's ten past nine.",
    "You have an appointment tomorrow at eight, with the dentist.",
    "The timer is set for ten minutes.",
    "Seven is taken. Eight or nine?",
    "I can tell the time, set a timer, and book appointments.",
    "Sorry, I did not catch that. Could you say it again?",
    "Today is Tuesday, the twenty fourth of November.",
    "Your table for four on Friday at six is booked. See you then!",
)
WINDOW_MS = 1500
"""The follow-up window, in which any voice begins a turn; the next reply comes after it."""


@dataclass
class Counts:
    """What happened during the replies."""

    finished: int = 0
    cut: list[Event] = field(default_factory=list)
    begun: list[Event] = field(default_factory=list)
    """Turns that the echo began."""
    voices: int = 0
    """The gate opened: harmless outside the follow-up window, worth knowing."""

    @property
    def clean(self) -> bool:
        return not (self.cut or self.begun)


async def listen(replies: int, voice: str, window_ms: int) -> Counts:
    """Speak so many replies through the real ears on the sound card of the environment."""
    counts = Counts()
    texts = islice(cycle(REPLIES), replies)
    loop = LoopSettings(endpoint=EndpointSettings(follow_up_ms=window_ms))
    ears = await EarsProcess.start(EarsConfig(epoch=1, tts_engine=voice, loop=loop))
    stopping: asyncio.Task[int] | None = None

    async def next_reply() -> None:
        nonlocal stopping
        if counts.finished:
            await asyncio.sleep(window_ms / 1000 + 0.5)
        text = next(texts, None)
        if text is None:
            stopping = asyncio.create_task(ears.stop())
        else:
            ears.send(NoticeDecided(reply=f"reply-{counts.finished}", text=text, follow_up=True))

    going: set[asyncio.Task[None]] = set()
    async for message in ears.messages():
        match message:
            case MicrophoneOpened() | ReplyFinished() | ReplyCut():
                counts.finished += isinstance(message, ReplyFinished)
                counts.cut += [message] if isinstance(message, ReplyCut) else []
                going.add(asyncio.create_task(next_reply()))
            case TurnStarted(by=by) if by != "notice":
                counts.begun.append(message)
            case WakeHeard():
                counts.begun.append(message)
            case SpeechStarted():
                counts.voices += 1
    await asyncio.gather(*going)
    await (stopping or ears.reap())
    return counts


def measure(replies: int, voice: str, *, loopback_ms: int, window_ms: int = WINDOW_MS) -> Counts:
    """On a virtual card of its own, with that echo."""
    with virtual_card(loopback_ms=loopback_ms) as card:
        before = dict(os.environ)
        os.environ.update(card.env)
        try:
            return asyncio.run(listen(replies, voice, window_ms))
        finally:
            os.environ.clear()
            os.environ.update(before)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.selfhear", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("replies", type=int)
    parser.add_argument("--voice", choices=("piper", "hibari"), default="piper")
    parser.add_argument("--loopback", type=int, default=20, metavar="MS")
    options = parser.parse_args(arguments)
    counts = measure(options.replies, options.voice, loopback_ms=options.loopback)
    print(
        f"{options.voice}, loopback {options.loopback} ms: {counts.finished} of {options.replies} replies finished, "
        f"{len(counts.cut)} cut, {len(counts.begun)} turns begun by them, gate opened {counts.voices} times"
    )
    for event in (*counts.cut, *counts.begun):
        print(f"  {event}")
    return 0 if counts.clean and counts.finished == options.replies else 1


if __name__ == "__main__":
    raise SystemExit(main())
