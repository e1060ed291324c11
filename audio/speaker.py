"""Owns what is being said: the reply under way, its ledger, and the mixer that plays it."""

from __future__ import annotations

import numpy as np

from audio.bargein import CutBy
from audio.events import (
    ClauseSynthesized,
    EngineFailed,
    NoticeDecided,
    ReplyCut,
    ReplyDecided,
    ReplyFinished,
    ReplyStarted,
    SynthesisFinished,
)
from audio.frames import Pcm, Samples, TurnId
from audio.mixer import Mixer
from audio.settings import ReplySettings
from audio.speech import SpokenReply


class Speaker:
    """One reply at a time; sequential, owned by the conversation."""

    def __init__(self, settings: ReplySettings) -> None:
        self.mixer = Mixer(settings)
        self._reply: SpokenReply | None = None

    @property
    def speaking(self) -> bool:
        """A reply is under way, if only in the synthesizer."""
        return self._reply is not None

    @property
    def interruptible(self) -> bool:
        return self._reply is None or self._reply.interruptible

    @property
    def follow_up(self) -> bool:
        return self._reply is not None and self._reply.follow_up

    @property
    def done(self) -> bool:
        """All of the reply has been played."""
        return self._reply is not None and self._reply.played(self.mixer.spoken)

    @property
    def closed(self) -> bool:
        """All of the reply has been synthesized."""
        return self._reply is not None and self._reply.total is not None

    def say(self, turn: TurnId, decided: ReplyDecided | NoticeDecided) -> None:
        self.mixer.begin_speech()
        self._reply = SpokenReply(turn, decided.reply, decided.follow_up, decided.interruptible)

    def receive(self, event: ClauseSynthesized | SynthesisFinished | EngineFailed) -> bool:
        """Take in synthesized speech; returns False when there is nothing to say after all."""
        reply = self._reply
        if reply is None or event.turn != reply.turn:
            return True
        if isinstance(event, ClauseSynthesized):
            pcm = np.frombuffer(event.pcm, np.int16)
            reply.add(event.text, len(pcm), event.ends)
            self.mixer.add_speech(pcm)
            return True
        # What was synthesized before a failure is still worth hearing.
        reply.close()
        return not isinstance(event, EngineFailed) or bool(reply.total)

    def pull(self, n: int, now: Samples) -> tuple[Pcm, ReplyStarted | None]:
        """The far end's next `n` samples; and that the reply's first one is among them."""
        pcm = self.mixer.pull(n)
        reply = self._reply
        if reply is None or reply.started is not None or not self.mixer.spoken:
            return pcm, None
        reply.started = now
        return pcm, ReplyStarted(at=now, turn=reply.turn, reply=reply.reply)

    def finish(self) -> ReplyFinished:
        """The reply was played to its end; only while `speaking`."""
        reply = self._take()
        return ReplyFinished(turn=reply.turn, reply=reply.reply, heard=reply.heard(self.mixer.spoken))

    def cut(self, by: CutBy) -> ReplyCut:
        """Silence from the next pull on; only while `speaking`."""
        reply = self._take()
        self.mixer.cut_speech()
        return ReplyCut(turn=reply.turn, reply=reply.reply, by=by, heard=reply.heard(self.mixer.spoken))

    def abandon(self) -> None:
        """Nothing more of the reply, if there is one."""
        self._reply = None
        self.mixer.cut_speech()

    def _take(self) -> SpokenReply:
        reply, self._reply = self._reply, None
        assert reply is not None
        return reply
