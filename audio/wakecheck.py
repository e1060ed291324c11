"""Owns which wake words count now, and the second opinion on one: listening has begun already, and nothing is answered
before it is there."""

from __future__ import annotations

from enum import Enum

from audio.buffers import PreRoll
from audio.commands import ConfirmWake
from audio.events import FinalText, WakeHeard
from audio.frames import Samples, TurnId, ms
from audio.settings import WakeSettings

_SAME_WORD = ms(1500)
"""So long after its first detection a word may be heard again, and more surely, without having been said again."""


class Opinion(Enum):
    """How far the second opinion on the turn's wake word is."""

    NONE = "none is needed, or it is there"
    WAITING = "the audio after the word is not here yet"
    ASKED = "the second detector works"


class WakeCheck:
    """One at a time: that of the turn under way."""

    def __init__(self, settings: WakeSettings) -> None:
        self._settings = settings
        self._opinion = Opinion.NONE
        self._turn = TurnId(0)
        self._word: WakeHeard | None = None
        self._held: FinalText | None = None
        self._wanted: frozenset[str] | None = None
        """None: every word."""

    def want(self, words: tuple[str, ...]) -> None:
        """Only these count from now on."""
        self._wanted = frozenset(words)

    def counts(self, word: WakeHeard) -> bool:
        """It is wanted at this time, and not the word of the turn under way, heard more surely."""
        repeated = self._word is not None and word.at - self._word.at < _SAME_WORD
        return not repeated and (self._wanted is None or word.word in self._wanted)

    def begin(self, turn: TurnId, word: WakeHeard) -> None:
        """A word has opened this turn."""
        self._turn, self._word, self._held = turn, word, None
        self._opinion = Opinion.WAITING if word.word in self._settings.confirmed else Opinion.NONE

    def end(self) -> None:
        """Another turn has begun, not by a word."""
        self._opinion, self._word, self._held = Opinion.NONE, None, None

    def step(self, now: Samples, audio: PreRoll) -> ConfirmWake | None:
        """The question to the second detector, once the audio for it is here."""
        if self._opinion is not Opinion.WAITING or self._word is None:
            return None
        if now < self._word.at + ms(self._settings.after_ms):
            return None
        self._opinion = Opinion.ASKED
        pcm = audio.read(Samples(max(0, self._word.at - ms(self._settings.before_ms))), now)
        return ConfirmWake(turn=self._turn, word=self._word.word, pcm=pcm.tobytes())

    def hold(self, final: FinalText) -> bool:
        """Keep what was said until the opinion is there; False when none is waited for."""
        if self._opinion is Opinion.NONE:
            return False
        self._held = final
        return True

    def settle(self, turn: TurnId) -> FinalText | None:
        """The opinion on this turn is there, or will never be; returns what was held for it."""
        if turn != self._turn:
            return None
        self._opinion = Opinion.NONE
        held, self._held = self._held, None
        return held
