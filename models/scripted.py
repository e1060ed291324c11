"""Every engine, scripted: they read marks in the PCM. For turn-taking tests and dry runs, at the seam of the real ones.

A `Script` turns words into marked audio. Each 10 ms frame of it carries a magic number, what it is (wake word, voice,
reply), which text it belongs to and its place in that text, so the recognizer returns exactly the words whose audio it
was fed: a lost first syllable is a lost word in the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.engines import RATE, Clause, EngineError, Hypothesis, Pcm, WakeScore

FRAME = 160
_MAGIC = (12121, -11717, 13131)
_WAKE, _VOICE, _REPLY = 1, 2, 3
_WORD_FRAMES = 30
_LOUD = 3000


class Script:
    """Registers texts and renders them as marked audio."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def wake(self, word: str = "hey_jarvis", frames: int = 60) -> Pcm:
        """A wake word; detected at its last frame."""
        return self._render(_WAKE, word, frames)

    def say(self, text: str) -> Pcm:
        """300 ms per word."""
        return self._render(_VOICE, text, _WORD_FRAMES * len(text.split()))

    def pause(self, milliseconds: int) -> Pcm:
        return np.zeros(milliseconds * RATE // 1000, np.int16)

    def reply(self, text: str) -> Pcm:
        """What the scripted synthesizer speaks: 200 ms per word."""
        return self._render(_REPLY, text, 20 * max(1, len(text.split())))

    def _render(self, kind: int, text: str, frames: int) -> Pcm:
        code = len(self.texts)
        self.texts.append(text)
        pcm = np.full((frames, FRAME), _LOUD, np.int16)
        pcm[:, ::2] = -_LOUD
        for index in range(frames):
            pcm[index, :7] = (*_MAGIC, kind, code, index, frames)
        return pcm.reshape(-1)


def marks(pcm: Pcm) -> list[tuple[int, int, int, int]]:
    """(kind, code, index, frames) of every mark in the audio, wherever it begins."""
    found = np.flatnonzero(pcm[:-6] == _MAGIC[0]).tolist() if len(pcm) >= 7 else []
    return [
        (int(pcm[at + 3]), int(pcm[at + 4]), int(pcm[at + 5]), int(pcm[at + 6]))
        for at in found
        if pcm[at + 1] == _MAGIC[1] and pcm[at + 2] == _MAGIC[2]
    ]


class ScriptedVoiceDetector:
    """A frame with a mark is voice."""

    def load(self) -> None: ...

    def is_speech(self, frame: Pcm) -> bool:
        return bool(marks(frame))


class ScriptedWakeDetector:
    """Fires at the last frame of a wake mark."""

    lag = 0

    def __init__(self, script: Script) -> None:
        self._script = script

    def load(self) -> None: ...

    def process(self, frame: Pcm) -> Sequence[WakeScore]:
        return [
            WakeScore(self._script.texts[code], 1.0)
            for kind, code, index, frames in marks(frame)
            if kind == _WAKE and index == frames - 1
        ]


class ScriptedRecognizer:
    """Returns the words whose audio it was fed; `fail` makes the next decoding raise."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._fed: list[tuple[int, int, int, int]] = []
        self.fail = False

    def load(self) -> None: ...

    def start(self, phrases: Sequence[str] = ()) -> None:
        self._fed = []

    def feed(self, pcm: Pcm) -> None:
        self._fed += marks(pcm)

    def partial(self) -> Hypothesis:
        return self._decode()

    def finish(self) -> Hypothesis:
        found = self._decode()
        self._fed = []
        return Hypothesis(found.text, stable=found.text, confidence=found.confidence)

    def abort(self) -> None:
        self._fed = []

    def _decode(self) -> Hypothesis:
        if self.fail:
            self.fail = False
            raise EngineError("scripted failure")
        heard: dict[tuple[int, int], None] = {}
        for kind, code, index, _ in self._fed:
            # A word counts when its middle was heard.
            if kind in (_WAKE, _VOICE) and (kind == _WAKE or index % _WORD_FRAMES == _WORD_FRAMES // 2):
                heard[code, index // _WORD_FRAMES if kind == _VOICE else 0] = None
        text = " ".join(self._script.texts[code].split()[word] for code, word in heard)
        return Hypothesis(text, confidence=0.9 if text else None)


class ScriptedSynthesizer:
    """Speaks 200 ms of marks per word, a clause for each comma or full stop; `fail` makes the next reply raise."""

    rate = RATE

    def __init__(self, script: Script) -> None:
        self._script = script
        self.fail = False

    def load(self) -> None: ...

    def synthesize(self, text: str) -> Iterator[Clause]:
        if self.fail:
            self.fail = False
            raise EngineError("scripted failure")
        for clause in text.replace(",", ",\n").replace(".", ".\n").splitlines():
            if clause.strip():
                yield Clause(clause.strip(), self._script.reply(clause.strip()))

    def cancel(self) -> None: ...
