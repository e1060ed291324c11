"""Owns one open utterance: from where the recognizer hears, what it has been fed, and when the user has finished."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from audio.buffers import PreRoll
from audio.commands import Command, DecodePartial, FeedRecognition, FinishRecognition, StartRecognition
from audio.endpoint import Endpointer
from audio.events import SpeechEnded, SpeechStarted, TurnOrigin, UtteranceEnd, UtteranceEnded, WakeHeard
from audio.frames import FRAME, Samples, TurnId, ms
from audio.gate import GateReading
from audio.listener import HeardFact
from audio.settings import LoopSettings

_FEED = ms(100)
"""Audio goes to the recognizer in pieces of this length."""
_READY_AFTER = ms(300)
"""The ready sound comes only when the request did not follow in the same breath; a button needs none."""
_TAIL = ms(300)
"""Of the closing silence the recognizer hears only this much: more costs time and invites invented words. Then nothing
can change in the text unless somebody speaks on: it is decoded ahead while the rest of the silence is waited for."""

_SOFT_START = ms(1000)
"""In a follow-up the recognizer hears so much from before the talker's level was reached: a first word may be soft, but
the room that opened the utterance may have talked for seconds."""

_DIP = ms(50)
"""Length of the window with which the joint between wake word and request is looked for."""


def request_start(word: WakeHeard, audio: PreRoll) -> Samples:
    """Where the request begins: the quietest moment between the earliest end of the word and its detection.

    Somebody who asks in the same breath leaves no pause, and the detector's delay varies with the speed of the voice:
    from its earliest bound on the tail of the word is taken for a word, from the detection on a first syllable is lost.
    """
    pcm = audio.read(word.word_end, word.at).astype(np.float64)
    starts = range(0, len(pcm) - _DIP + 1, FRAME)
    if not starts:
        return word.word_end
    quietest = min(starts, key=lambda start: float(np.square(pcm[start : start + _DIP]).sum()))
    return Samples(word.word_end + quietest + _DIP // 2)


class Talker(NamedTuple):
    """How loud somebody was: the measure for the next turn only, then somebody else may stand there."""

    turn: TurnId
    level_db: float


class Utterance:
    """Nothing is sent to the recognizer before there was enough voice: a click or the tail of the wake word is free,
    a pause before the request is not decoded. A held utterance (push-to-talk) is sent as a whole."""

    def __init__(
        self,
        turn: TurnId,
        since: Samples,
        opened: Samples,
        settings: LoopSettings,
        phrases: tuple[str, ...],
        origin: TurnOrigin,
        last: Talker | None = None,
    ) -> None:
        """The recognizer may hear from `since` on; the user is waited for from `opened` on. `last` spoke before: in a
        follow-up nobody else is expected. What rings is stopped by anybody."""
        self.turn = turn
        self.held = origin == "press"
        expected = last.level_db if last is not None and origin == "follow_up" and last.turn == turn - 1 else None
        self.endpointer = Endpointer(settings.endpoint, opened, held=self.held, expected_db=expected)
        self._ready_at = Samples(opened + _READY_AFTER) if origin == "wake" else None
        self.sent = False
        """The recognizer has been started."""
        self._since = since
        self._start: Samples | None = since
        self._fed_to = since
        self._next_partial: Samples | None = None
        self._asked: Samples | None = None
        """When the partial was asked for that is still being decoded."""
        self._ahead: Samples | None = None
        """The end of the voice up to which everything is decoded ahead."""
        self._settings = settings.recognition
        self._phrases = phrases

    def hear(self, what: HeardFact) -> None:
        """A voice after a pause is heard from a little before its onset. One that ended before it was an utterance was
        the tail of the wake word and is forgotten; what was said after the detection is kept, it may be a first word.
        """
        match what:
            case SpeechStarted() if self._start is None:
                self._start = Samples(max(self._since, what.onset - ms(self._settings.preroll_ms)))
            case SpeechEnded() if not self.sent and not self.held:
                self._since = max(self._since, min(what.last, self.endpointer.opened))
                self._start = None

    @property
    def anything(self) -> bool:
        """Something was said."""
        return self.sent or self.endpointer.spoken

    def step(
        self, now: Samples, reading: GateReading | None, audio: PreRoll
    ) -> tuple[list[Command], UtteranceEnd | None]:
        """One frame later: what the recognizer is to do, and why the utterance is over (or None)."""
        end = self.endpointer.step(now, reading)
        if not self.held and not self.endpointer.spoken:
            return [], end
        commands = self._feed(now, audio, at_once=False)
        voiced = reading is not None and reading.voiced
        if end is None and (self._ahead_due(now) or self._partial_due(now, voiced)):
            self._asked = now
            commands += [*self._feed(now, audio, at_once=True), DecodePartial(turn=self.turn)]
        return commands, end

    def decoded(self, now: Samples) -> None:
        """A partial is there. On a slow board the next waits as long as this one took: a final shall find it free."""
        if self._asked is not None and self._next_partial is not None:
            self._next_partial = Samples(max(self._next_partial, now + (now - self._asked)))
        self._asked = None

    def ready(self, now: Samples) -> bool:
        """True once: the user was called and says nothing yet, so tell them that they are heard."""
        if self._ready_at is None or now < self._ready_at:
            return False
        self._ready_at = None
        return self.endpointer.speech_end <= self.endpointer.opened

    def finish(self, now: Samples, audio: PreRoll) -> list[Command]:
        """The rest of the audio, and the end of it."""
        return [*self._feed(now, audio, at_once=True), FinishRecognition(turn=self.turn)]

    @property
    def talker(self) -> Talker | None:
        """Who spoke, for the turn that follows."""
        level = self.endpointer.level_db
        return None if level is None else Talker(self.turn, level)

    def ended(self, reason: UtteranceEnd) -> UtteranceEnded:
        return UtteranceEnded(turn=self.turn, reason=reason, speech_end=self.endpointer.speech_end)

    def _ahead_due(self, now: Samples) -> bool:
        """Once for every pause that may be the last."""
        voice = self.endpointer.speech_end
        if self.held or self._ahead == voice or now < voice + _TAIL:
            return False
        self._ahead = voice
        return True

    def _partial_due(self, now: Samples, voiced: bool) -> bool:
        every = ms(self._settings.partial_ms)
        if not every or self._asked is not None:
            return False
        if self._next_partial is None:
            self._next_partial = Samples(now + every)
        # In silence the text cannot change: the last partial is decoded once the voice has paused, then no more.
        if now < self._next_partial or not voiced:
            return False
        self._next_partial = Samples(now + every)
        return True

    def _feed(self, now: Samples, audio: PreRoll, *, at_once: bool) -> list[Command]:
        upto = now if self.held else Samples(min(now, self.endpointer.speech_end + _TAIL))
        commands: list[Command] = []
        if not self.sent:
            self.sent = True
            self._fed_to = self._start if self._start is not None else self._since
            if self.endpointer.reached is not None:
                self._fed_to = max(self._fed_to, Samples(self.endpointer.reached - _SOFT_START))
            commands.append(StartRecognition(turn=self.turn, phrases=self._phrases))
        if upto - self._fed_to >= (1 if at_once else _FEED):
            commands.append(FeedRecognition(turn=self.turn, pcm=audio.read(self._fed_to, upto).tobytes()))
            self._fed_to = upto
        return commands
