"""Owns the scripted world of the turn-taking tests: marked audio, an app with canned answers, one line per event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from audio.commands import Abandon, Answer
from audio.conversation import Conversation
from audio.events import Event, LevelMeasured, NoticeDecided, ReplyDecided
from audio.frames import Pcm, Samples, ms, seconds
from audio.listener import Listener
from audio.replay import Recording, Replay, Source, Trace
from audio.settings import LoopSettings
from audio.virtual import FixedCosts
from audio.workers import RecognitionJob, SynthesisJob
from models.scripted import Script, ScriptedRecognizer, ScriptedSynthesizer, ScriptedVoiceDetector, ScriptedWakeDetector


@dataclass
class CannedApp:
    """Answers by table; says what it was told to do."""

    answers: dict[str, ReplyDecided | str] = field(default_factory=dict)
    at: dict[int, Event] = field(default_factory=dict)
    """Millisecond -> event that the app sends then."""
    asked: list[str] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    seen: list[Event] = field(default_factory=list)

    async def perform(self, command: Answer | Abandon, at: Samples) -> Sequence[Event]:
        if isinstance(command, Abandon):
            self.abandoned.append(command.turn)
            return ()
        self.asked.append(command.text)
        answer = self.answers.get(command.text, f"You said {command.text}.")
        if isinstance(answer, str):
            answer = ReplyDecided(turn=command.turn, reply=f"r{command.turn}", text=answer)
        else:
            answer = ReplyDecided(
                turn=command.turn,
                reply=f"r{command.turn}",
                text=answer.text,
                follow_up=answer.follow_up,
                interruptible=answer.interruptible,
            )
        return (answer,)

    async def tick(self, at: Samples) -> Sequence[Event]:
        due = [when for when in self.at if ms(when) <= at]
        return [self.at.pop(when) for when in sorted(due)]

    def observe(self, event: Event) -> None:
        self.seen.append(event)

    @property
    def busy(self) -> bool:
        return False


def open_reply(text: str, *, interruptible: bool = True) -> ReplyDecided:
    """A canned answer that keeps the conversation open."""
    return ReplyDecided(turn=0, reply="", text=text, follow_up=True, interruptible=interruptible)


def notice(text: str) -> NoticeDecided:
    return NoticeDecided(reply="n", text=text)


def conversation(script: Script, settings: LoopSettings | None = None, epoch: int = 1) -> Conversation:
    settings = settings or LoopSettings()
    listener = Listener(settings.gate, ScriptedVoiceDetector(), ScriptedWakeDetector(script), None)
    return Conversation(listener, settings, epoch)


def play(
    script: Script,
    audio: Sequence[Pcm] | Source,
    app: CannedApp | None = None,
    *,
    settings: LoopSettings | None = None,
    recognizer: ScriptedRecognizer | None = None,
    synthesizer: ScriptedSynthesizer | None = None,
) -> Trace:
    """Run the audio through the whole loop with scripted engines and fixed costs."""
    jobs = {
        "stt": RecognitionJob(recognizer or ScriptedRecognizer(script)),
        "tts": SynthesisJob(synthesizer or ScriptedSynthesizer(script)),
    }
    source = Recording(np.concatenate(list(audio))) if isinstance(audio, Sequence) else audio
    replay = Replay(conversation(script, settings), jobs, app or CannedApp(), FixedCosts())
    return asyncio.run(replay.run(source))


def lines(events: Sequence[Event], *, levels: bool = False) -> list[str]:
    """A trace to read and to store: seconds, name, fields."""
    shown = []
    for event in events:
        if isinstance(event, LevelMeasured) and not levels:
            continue
        fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("at", "pcm", "ends")}
        shown.append(
            f"{seconds(event.at):7.3f} {type(event).__name__} " + " ".join(f"{k}={v}" for k, v in fields.items())
        )
    return shown
