"""Hours of a mostly quiet room through the whole offline loop with the real engines: does memory grow, does time slip?

    nice -n 15 python -m tools.eight_hours [--hours 8] [--tts piper] [--json OUT.json]

A lobby with pink noise 60 dB below full scale; four requests an hour (`--every`: more) that begin with the wake word, a
timer that rings until somebody says "stop", and twice an hour people who talk to each other. The sound is made as it is
needed. Work takes a fixed time on the virtual computer, so a busy machine changes nothing but how long it runs. Exit
status 1 if memory has grown by more than 5 % since the first hour, if the clock has slipped, or if less than three of
four requests were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from audio.assembly import build_conversation, build_jobs
from audio.events import AlertRaised, Event, MicrophoneOpened, ReplyFinished
from audio.frames import FRAME, RATE, Pcm, Samples, silence
from audio.replay import Replay, Trace
from audio.resample import resample
from audio.turn import Turn
from audio.virtual import FixedCosts, VirtualComputer
from device.app import House, build, ears_config
from device.config import Config
from device.offline import OfflineApp, OfflineClock
from device.secrets import Secrets
from device.settings import TtsSection
from models.engines import Synthesizer

MOST_GROWTH = 0.05
LEAST_ANSWERED = 0.75
SAMPLE_S = 600
HOUR_S = 3600
REQUEST_EVERY_S = 900
TALK_EVERY_S = 1800
STOP_AFTER_S = 3
NOISE_DB = -60.0
REQUESTS = (
    "Hey Jarvis, what time is it?",
    "Hey Jarvis, set a timer for seven minutes.",
    "Hey Jarvis, book an appointment tomorrow at two p.m.",
    "Hey Jarvis, what's the date today?",
    "Hey Jarvis, is tomorrow at five p.m. free?",
    "Hey Jarvis, help.",
    "Hey Jarvis, set a timer for twelve minutes.",
    "Hey Jarvis, book an appointment tomorrow at nine a.m.",
    "Hey Jarvis, when does the museum open?",
)
TALK = (
    "I went to see my sister last weekend, and we had lunch by the river.",
    "Did you find the keys? They were on the table this morning.",
    "The train was late again, so I missed the beginning of the film.",
    "She said that the new office is much brighter than the old one.",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stand after so many simulated seconds."""

    at_s: int
    wall_s: float
    pss_mb: float
    rss_mb: float
    own_mb: float
    """PSS of this process alone; the rest is the synthesizer's."""
    processes: int
    objects: int
    """Python objects of this process that the garbage collector knows."""
    events: int
    slip: int
    """The sample clock against the samples that were fed."""
    clock_slip_ms: float
    """The appliance's clock against them."""


class Lobby:
    """What the microphone hears; made as it is needed, the same for the same seed."""

    def __init__(self, hours: float, voice: Synthesizer, every_s: float, seed: int) -> None:
        self._end = round(hours * HOUR_S * RATE) // FRAME * FRAME
        self._rng = np.random.default_rng(seed)
        self._noise = _pink(60 * RATE, self._rng) * 32768 * 10 ** (NOISE_DB / 20)
        self._noise_at = 0
        self._requests = [_spoken(voice, text) for text in REQUESTS]
        self._talk = np.concatenate([part for text in TALK for part in (_spoken(voice, text), silence(RATE // 2))])
        self._stop = _spoken(voice, "Stop.")
        self._saying: Pcm = silence(0)
        self._every = every_s * RATE
        self._next_request = round(self._every * self._rng.uniform(0.1, 0.3))
        self._next_talk = round(RATE * self._rng.uniform(400, 800))
        self._ringing_for = 0
        self.asked = 0

    def frame(self, now: Samples, state: Turn) -> Pcm | None:
        if now >= self._end:
            return None
        if not len(self._saying):
            self._saying = self._begin(now, state)
        said, self._saying = self._saying[:FRAME], self._saying[FRAME:]
        # Pieces of the noise in an order that never comes again.
        if now % RATE == 0:
            self._noise_at = int(self._rng.integers(0, 59 * RATE))
        piece = self._noise[self._noise_at + now % RATE :][:FRAME].copy()
        piece[: len(said)] += said
        return np.clip(np.rint(piece), -32768, 32767).astype(np.int16)

    def _begin(self, now: Samples, state: Turn) -> Pcm:
        self._ringing_for = self._ringing_for + FRAME if state is Turn.ALERTING else 0
        if self._ringing_for > STOP_AFTER_S * RATE:
            self._ringing_for = 0
            return self._stop
        if state is not Turn.IDLE:
            return silence(0)
        if now >= self._next_request:
            self._next_request += round(self._every * self._rng.uniform(0.9, 1.1))
            self.asked += 1
            return self._requests[(self.asked - 1) % len(self._requests)]
        if now >= self._next_talk:
            self._next_talk += round(RATE * TALK_EVERY_S * self._rng.uniform(0.9, 1.1))
            return self._talk
        return silence(0)


@dataclass(slots=True)
class Endless(Replay):
    """A replay that keeps nothing of what has passed, so that only the appliance can grow."""

    computer: VirtualComputer = field(init=False)

    def __post_init__(self) -> None:
        self.computer = VirtualComputer(self.jobs, self.costs)
        self.conversation.receive(MicrophoneOpened(device="lobby"))

    async def step(self, source: Lobby) -> list[Event] | None:
        """Play one frame; its events, or None at the end."""
        near = source.frame(self.conversation.now, self.conversation.state)
        if near is None:
            return None
        trace = Trace()
        await self._tick(self.computer, near, trace)
        return trace.events


@dataclass(slots=True)
class Story:
    """What happened, in numbers."""

    counts: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    late_ms: list[float] = field(default_factory=list)
    """Of each timer: how long after its end it rang."""
    samples: list[Sample] = field(default_factory=list)

    def see(self, events: Sequence[Event], house: House, now: datetime) -> None:
        for event in events:
            self.counts[type(event).__name__] += 1
            if isinstance(event, ReplyFinished) and not event.reply.startswith("timer"):
                self.answered += 1
            if isinstance(event, AlertRaised):
                number = int(event.alert.removeprefix("timer-"))
                ends = next(timer.ends for timer in house.store.timers() if timer.id == number)
                self.late_ms.append((now - ends).total_seconds() * 1000)


async def listen(hours: float, tts: str, every_s: float, seed: int) -> tuple[Story, Lobby]:
    """Play it all; a line for each sample."""
    from models.tts_hibari import HibariSynthesizer

    voice = HibariSynthesizer()
    voice.load()
    lobby = Lobby(hours, voice, every_s, seed)
    start = datetime(2031, 3, 4, 9, tzinfo=ZoneInfo("UTC"))
    config = Config(timezone="UTC", tts=TtsSection(engine=tts))  # type: ignore[arg-type]
    story = Story()
    with tempfile.TemporaryDirectory() as folder:
        clock = OfflineClock(start)
        app = OfflineApp(clock)
        house = build(config, Secrets(), clock=clock.now, database=Path(folder) / "book.db", origin="voice")
        app.attach(house.appliance)
        ears = ears_config(config, house.store.next_epoch())
        replay = Endless(build_conversation(ears, echo=False), build_jobs(ears), app, FixedCosts())
        try:
            await _play(replay, lobby, story, clock, house)
        finally:
            await house.close()
    return story, lobby


async def _play(replay: Endless, lobby: Lobby, story: Story, clock: OfflineClock, house: House) -> None:
    began, fed, start = time.monotonic(), 0, clock.now()
    while (events := await replay.step(lobby)) is not None:
        fed += FRAME
        story.see(events, house, clock.now())
        if fed % (SAMPLE_S * RATE) == 0:
            pss, rss, own, processes = memory()
            slip_s = (clock.now() - start).total_seconds() - fed / RATE
            story.samples.append(
                Sample(
                    at_s=fed // RATE,
                    wall_s=round(time.monotonic() - began, 1),
                    pss_mb=round(pss, 1),
                    rss_mb=round(rss, 1),
                    own_mb=round(own, 1),
                    processes=processes,
                    objects=len(gc.get_objects()),
                    events=story.counts.total(),
                    slip=replay.conversation.now - fed,
                    clock_slip_ms=round(slip_s * 1000, 3),
                )
            )
            print(story.samples[-1], flush=True)


def memory() -> tuple[float, float, float, int]:
    """PSS and RSS in MB of this process and all below it, PSS of this one, and how many they are."""
    gc.collect()
    pss = rss = own = 0.0
    processes = list(_tree(os.getpid()))
    for pid in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                key, _, value = line.partition(":")
                if key == "Pss":
                    pss += int(value.split()[0]) / 1024
                    own = own or pss
                elif key == "Rss":
                    rss += int(value.split()[0]) / 1024
    return pss, rss, own, len(processes)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _pink(samples: int, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def _spoken(voice: Synthesizer, text: str) -> Pcm:
    return resample(np.concatenate([clause.pcm for clause in voice.synthesize(text)]), voice.rate, RATE)


def judge(story: Story, lobby: Lobby) -> dict[str, object]:
    """The figures, and under "wrong" what is not as it should be."""
    samples = story.samples
    after = [sample for sample in samples if sample.at_s >= HOUR_S]
    wrong = []
    growth = highest = None
    if len(after) > 1:
        growth = after[-1].pss_mb / after[0].pss_mb - 1
        highest = max(sample.pss_mb for sample in after) / after[0].pss_mb - 1
        if growth > MOST_GROWTH:
            wrong.append("memory grows")
    if any(sample.slip or abs(sample.clock_slip_ms) > 1 for sample in samples):
        wrong.append("the clock slips")
    if story.late_ms and max(story.late_ms) - min(story.late_ms) > 300:
        wrong.append("timers drift")
    if story.answered < LEAST_ANSWERED * lobby.asked:
        wrong.append("requests go unanswered")
    return {
        "hours": samples[-1].at_s / HOUR_S if samples else 0,
        "speed_x": round(samples[-1].at_s / samples[-1].wall_s, 1) if samples else None,
        "pss_first_mb": after[0].pss_mb if after else None,
        "pss_last_mb": samples[-1].pss_mb if samples else None,
        "growth_percent": None if growth is None else round(100 * growth, 2),
        "highest_percent": None if highest is None else round(100 * highest, 2),
        "slip_samples": samples[-1].slip if samples else None,
        "clock_slip_ms": samples[-1].clock_slip_ms if samples else None,
        "timers_late_ms": [round(late) for late in story.late_ms],
        "asked": lobby.asked,
        "answered": story.answered,
        "events": dict(story.counts),
        "wrong": wrong,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--tts", choices=("piper", "hibari"), default="piper")
    parser.add_argument("--every", type=float, default=REQUEST_EVERY_S, metavar="S", help="seconds between requests")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    story, lobby = asyncio.run(listen(arguments.hours, arguments.tts, arguments.every, arguments.seed))
    figures = judge(story, lobby)
    for name, value in figures.items():
        print(f"{name}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps({**figures, "samples": [asdict(s) for s in story.samples]}, indent=1))
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
