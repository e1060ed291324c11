"""Pure policy: has the user finished? Owns the endpoint of one utterance."""

from __future__ import annotations

from audio.events import UtteranceEnd
from audio.frames import FRAME, Samples, ms
from audio.settings import EndpointSettings


class Endpointer:
    """Judges one utterance from its opening on; asked once per frame."""

    def __init__(self, settings: EndpointSettings, opened: Samples, *, held: bool) -> None:
        """`held`: push-to-talk, which only the release or the cap ends."""
        self._settings = settings
        self.opened = opened
        self._held = held
        self._voice = 0
        self.speech_end = opened
        """Where the voice was last heard."""

    @property
    def spoken(self) -> bool:
        """Enough voice for an utterance was heard."""
        return self._voice >= ms(self._settings.min_speech_ms)

    def credit(self, voiced_until: Samples, length: int) -> None:
        """Count voice that was heard before the utterance was opened (it opened the gate)."""
        self._voice += length
        self.speech_end = voiced_until

    def step(self, now: Samples, voiced: bool) -> UtteranceEnd | None:
        """`now` is the end of the frame just heard; returns why the utterance is over, or None."""
        if voiced:
            self._voice += FRAME
            self.speech_end = now
        if now - self.opened >= ms(self._settings.cap_ms):
            return "cap"
        if self._held:
            return None
        if self.spoken:
            return "silence" if now - self.speech_end >= ms(self._settings.silence_ms) else None
        return "no_speech" if now - self.opened >= ms(self._settings.no_speech_ms) else None
