"""Owns the far end: all that the loudspeaker plays is pulled from here, so it is the echo reference too."""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np

from audio.earcons import Earcon, earcon
from audio.frames import Pcm, ms
from audio.settings import ReplySettings


class Voice(Enum):
    """The sources that are mixed."""

    SPEECH = "speech"
    EARCON = "earcon"
    RING = "ring"


class Mixer:
    """Sequential; owned by the conversation."""

    def __init__(self, settings: ReplySettings) -> None:
        self._fade = ms(settings.fade_ms)
        self._volume_db = settings.volume_db
        self._gain = 10.0 ** (settings.volume_db / 20.0)
        self._earcons = settings.earcons
        self._queues: dict[Voice, deque[Pcm]] = {voice: deque() for voice in Voice}
        self._ringing = False
        self.spoken = 0
        """Samples of speech pulled since `begin_speech`."""

    def set_volume(self, gain_db: float) -> None:
        """Beside the configuration's own volume; from the next pull on."""
        self._gain = 10.0 ** ((self._volume_db + gain_db) / 20.0)

    def begin_speech(self) -> None:
        """A new reply: nothing of an older one is left, counting starts at 0."""
        self._queues[Voice.SPEECH].clear()
        self.spoken = 0

    def add_speech(self, pcm: Pcm) -> None:
        if len(pcm):
            self._queues[Voice.SPEECH].append(pcm)

    def cut_speech(self) -> None:
        """Silence from the next pull on, after a fade short enough not to be heard as speech."""
        queue = self._queues[Voice.SPEECH]
        if not queue:
            return
        tail = queue[0][: self._fade]
        queue.clear()
        if len(tail):
            ramp = np.linspace(1.0, 0.0, len(tail))
            # The tail is no longer the reply's: it must not count as heard.
            self._queues[Voice.EARCON].append((tail * ramp).astype(np.int16))

    def play(self, name: Earcon) -> None:
        """Queue a short sound; none when the user switched them off."""
        if self._earcons:
            self._queues[Voice.EARCON].append(earcon(name))

    def ring(self, on: bool) -> None:
        """Ring until told otherwise: an alert rings even where earcons are off."""
        self._ringing = on
        self._queues[Voice.RING].clear()

    def pull(self, n: int) -> Pcm:
        """The next `n` samples of the far end, int16; silence where nothing plays."""
        if self._ringing and not self._queues[Voice.RING]:
            self._queues[Voice.RING].append(earcon("ring"))
        speech, said = self._take(Voice.SPEECH, n)
        self.spoken += said
        others = [taken for taken, count in (self._take(Voice.EARCON, n), self._take(Voice.RING, n)) if count]
        if not said and not others:
            return np.zeros(n, np.int16)
        mix = speech.astype(np.float32)
        for other in others:
            mix += other
        out: Pcm = np.clip(mix * self._gain, -32768, 32767).astype(np.int16)
        return out

    def _take(self, voice: Voice, n: int) -> tuple[Pcm, int]:
        queue = self._queues[voice]
        out = np.zeros(n, np.int16)
        filled = 0
        while queue and filled < n:
            head = queue[0]
            part = head[: n - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) == len(head):
                queue.popleft()
            else:
                queue[0] = head[len(part) :]
        return out, filled
