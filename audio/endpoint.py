"""Pure policy: has the user finished? Owns the endpoint of one utterance."""

from __future__ import annotations

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

    def __init__(self, settings: EndpointSettings, opened: Samples, *, held: bool) -> None:
        """`held`: push-to-talk, which only the release or the cap ends."""
        self._settings = settings
        self.opened = opened
        self._held = held
        self._voice = 0
        self._talker_db = QUIETEST_DB
        self.speech_end = opened
        """Where the voice was last heard."""

    @property
    def spoken(self) -> bool:
        """Enough voice for an utterance was heard."""
        return self._voice >= ms(self._settings.min_speech_ms)

    def _is_talker(self, reading: GateReading) -> bool:
        """Loud enough to be the one who is talking to us, not the room behind."""
        self._talker_db = max(reading.smooth_db, self._talker_db - _FORGET_DB)
        depth = self._settings.talker_share * (self._talker_db - reading.floor_db)
        return reading.smooth_db >= reading.floor_db + depth

    def credit(self, voiced_until: Samples, length: int) -> None:
        """Count voice that was heard before the utterance was opened (it opened the gate)."""
        self._voice += length
        self.speech_end = voiced_until

    def step(self, now: Samples, reading: GateReading | None) -> UtteranceEnd | None:
        """`now` is the end of the frame just heard; returns why the utterance is over, or None."""
        if reading is not None and reading.voiced:
            self._voice += FRAME
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
