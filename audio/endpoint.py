"""Pure policy: has the user finished, and is it they who speak? Owns the endpoint of one utterance."""

from __future__ import annotations

import heapq

from audio.events import UtteranceEnd
from audio.frames import FRAME, Samples, ms
from audio.gate import QUIETEST_DB, GateReading
from audio.settings import EndpointSettings

_FORGET_DB = 0.01
"""Per frame: the talker's level sinks 1 dB a second when they speak softer. At twice that pink noise is taken for the
talker now and then, at none a soft last word is taken for the room."""

_GRACE = ms(80)
"""So much longer while a voice is heard at the very moment: somebody who speaks on begins softly."""


class Endpointer:
    """Judges one utterance from its opening on; asked once per frame."""

    def __init__(
        self, settings: EndpointSettings, opened: Samples, *, held: bool, expected_db: float | None = None
    ) -> None:
        """`held`: push-to-talk, which only the release or the cap ends. `expected_db`: how loud the last talker was
        where nobody has called; what is much softer is the room behind, and no voice before that level was reached.
        """
        self._settings = settings
        self.opened = opened
        self._held = held
        self._voice = self._credit = 0
        self._talker_db = QUIETEST_DB
        self._expected_db = expected_db
        self._loudest = [QUIETEST_DB] * max(1, ms(settings.min_speech_ms) // FRAME)
        """A heap of the loudest voiced frames."""
        self.reached: Samples | None = None
        """When the expected talker's level was first reached."""
        self.speech_end = opened
        """Where the voice was last heard."""

    @property
    def spoken(self) -> bool:
        """Enough voice for an utterance was heard."""
        return self._voice >= ms(self._settings.min_speech_ms)

    @property
    def level_db(self) -> float | None:
        """How loud the talker was for `min_speech_ms` in all (a click is shorter); None if they said less."""
        return self._loudest[0] if self._loudest[0] > QUIETEST_DB else None

    def _is_expected(self, reading: GateReading) -> bool:
        """In a quiet room whoever stands out from it, in a loud one who is about as near as the last talker."""
        if self._expected_db is None:
            return True
        share = self._settings.talker_share * (self._expected_db - reading.floor_db)
        return reading.smooth_db >= min(reading.floor_db + share, self._expected_db - self._settings.softer_db)

    def _is_talker(self, reading: GateReading) -> bool:
        """Loud enough to be the one who is talking to us, not the room behind."""
        self._talker_db = max(reading.smooth_db, self._talker_db - _FORGET_DB)
        depth = self._settings.talker_share * (self._talker_db - reading.floor_db)
        return reading.smooth_db >= reading.floor_db + depth

    def credit(self, voiced_until: Samples, length: int) -> None:
        """Voice that was heard before the utterance was opened (it opened the gate) counts as the frame at its end."""
        self._credit = length
        self.speech_end = voiced_until

    def _count(self, now: Samples, reading: GateReading) -> None:
        heapq.heappushpop(self._loudest, reading.smooth_db)
        if self._is_expected(reading):
            self._voice += FRAME + self._credit
            if self._expected_db is not None and self.reached is None:
                self.reached = now
        self._credit = 0

    def step(self, now: Samples, reading: GateReading | None) -> UtteranceEnd | None:
        """`now` is the end of the frame just heard; returns why the utterance is over, or None."""
        if reading is not None and reading.voiced:
            self._count(now, reading)
            if self._is_talker(reading):
                self.speech_end = now
        if now - self.opened >= ms(self._settings.cap_ms):
            return "cap"
        if self._held:
            return None
        if self.spoken:
            quiet = now - self.speech_end
            voiced = reading is not None and reading.voiced
            return "silence" if quiet >= ms(self._settings.silence_ms) + (_GRACE if voiced else 0) else None
        return "no_speech" if now - self.opened >= ms(self._settings.no_speech_ms) else None
