"""Speech to text with Vosk: it decodes while one speaks. Several calls of its library end the process, therefore it is
run through `HostedRecognizer`, and what ends it cannot be asked for here."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.catalog import catalog, resolve
from models.engines import RATE, EngineError, EngineUnavailable, Hypothesis, ModelUnavailable, Pcm, Word
from models.stt_moonshine import common_prefix

_ACOUSTIC = ("am/final.mdl", "final.mdl")
"""The acoustic model lies in one of the two, as `Model` looks for it."""
_LONGEST = 30 * RATE
"""What is said beyond it is dropped: the library's memory grows with continuous speech."""
_WARM_UP = RATE
"""Silence for the first decoding of a new recognizer, which takes half a second: better now than in a request."""
_AGREEING = 3
_FRAME = RATE // 10
_JUDGED = 10 * _FRAME
_STEADY = 2.0
"""Loudest over quietest tenth of a second: a second or more that stays below 6 dB is noise. Vosk hears words in it,
and may be certain of them."""
_UNKNOWN = "[unk]"
_MOST_PHRASES, _MOST_WORDS = 24, 3
"""A grammar helps where a short answer is expected; examples of whole requests would bend whatever is said."""
_SURE = 0.8
"""Each word of a grammar's result, to be believed before the free one."""
_RENEW_AFTER = 600 * RATE
"""So much audio after which a recognizer is made anew: it keeps all it ever composed of its graph, 5 MB a minute."""


class _Ear:
    """One of the library's recognizers, and what it has closed of the utterance."""

    def __init__(self, recognizer: Any) -> None:
        self._recognizer = recognizer
        self.words: list[Word] = []
        """The unknown one too."""
        self.taken = 0
        """Samples in its life."""
        recognizer.SetWords(True)
        recognizer.AcceptWaveform(bytes(2 * _WARM_UP))
        recognizer.FinalResult()

    def feed(self, piece: Pcm) -> None:
        """Decode more of it."""
        self.taken += len(piece)
        # The library has an endpoint of its own, in a pause; the utterance goes on all the same.
        if self._recognizer.AcceptWaveform(piece.tobytes()):
            self._take(self._recognizer.Result())

    def going_on(self) -> list[str]:
        """The words since the last closed piece."""
        found = json.loads(self._recognizer.PartialResult())
        # Before any audio, and after its own endpoint, the library writes "text" where "partial" belongs.
        return str(found.get("partial") or found.get("text") or "").split()

    def finish(self) -> list[Word]:
        """All words of the utterance; empty for the next one."""
        self._take(self._recognizer.FinalResult())
        words, self.words = self.words, []
        return words

    def expect(self, grammar: str) -> None:
        """Only between utterances: with audio inside it would end the process."""
        self._recognizer.SetGrammar(grammar)

    def _take(self, result: str) -> None:
        for word in json.loads(result).get("result", ()):
            self.words.append(Word(word["word"], min(1.0, max(0.0, float(word["conf"])))))


class VoskRecognizer:
    """`confidence` is the mean of the words'; partials have none (Vosk's are not worth it, and cost a second).

    A recognizer of the library lives over many utterances and is emptied by a `FinalResult` that nobody reads: `Reset`
    would let audio leak into the next utterance. Word times are not given: they count on over all utterances.
    """

    def __init__(
        self, model: str | Path = "vosk-small-en", grammar: bool | None = None, unknown: str = _UNKNOWN
    ) -> None:
        """`model` is a name of the catalog or a Vosk model's folder.

        Where a few short phrases are expected, a second recognizer that knows only these listens beside the free one,
        and is believed when it is sure of every word and heard none that is `unknown` to it. A model without a word
        for the unknown makes one of its words of any noise: without it there is no second one. `grammar` True: only
        the phrases can be heard at all; False: phrases do not count.
        """
        self._where = model
        self._grammar_wanted = grammar
        self._unknown = unknown
        self._model: Any = None
        self._new: Any = None
        self._free: _Ear | None = None
        self._bound: _Ear | None = None
        """Made at the first grammar and kept, so that the free one never changes its graph."""
        self._open: list[_Ear] = []
        """Those that hear the utterance, the one whose partials count first; none when none is open."""
        self._length = 0
        self._rest: Pcm = np.zeros(0, np.int16)
        self._loudest, self._quietest = 0.0, float("inf")
        self._partials: deque[list[str]] = deque(maxlen=_AGREEING)

    def load(self) -> None:
        """Look at the folder first, then open the model and decode a second of silence with it."""
        folder = _model_folder(self._where)
        try:
            import vosk
        except (ImportError, OSError) as error:
            raise EngineUnavailable("vosk is not installed: pip install vosk") from error
        vosk.SetLogLevel(-1)
        try:
            # Only by path: by a language or a name the package would go to the network, and exit if it is not there.
            self._model = vosk.Model(str(folder))
            self._new = vosk.KaldiRecognizer
            self._free = _Ear(self._new(self._model, RATE))
        except Exception as error:  # the package raises nothing more exact
            raise ModelUnavailable(f"{folder} is damaged or no Vosk model ({error})") from error

    def start(self, phrases: Sequence[str] = ()) -> None:
        """Begin an utterance; what the phrases do is told at the constructor."""
        if self._free is None:
            raise EngineError("the recognizer is not loaded")
        self.abort()
        if self._free.taken > _RENEW_AFTER:
            self._free = _Ear(self._new(self._model, RATE))
        grammar = self._grammar(phrases)
        if grammar is None:
            self._open = [self._free]
        elif self._grammar_wanted:
            self._open = [self._bounded(grammar)]
        else:
            self._open = [self._free, self._bounded(grammar)]

    def feed(self, pcm: Pcm) -> None:
        """Append audio and decode it (14 ms for every quarter second of it); beyond 30 s it is dropped."""
        self._utterance()
        piece = pcm[: _LONGEST - self._length]
        if piece.dtype != np.int16 or piece.ndim != 1:
            raise EngineError("audio is mono int16")
        self._length += len(piece)
        self._measure(piece)
        if len(piece):
            for ear in self._open:
                ear.feed(piece)

    def partial(self) -> Hypothesis:
        """What was said so far; `stable` is what the library has closed, or the last three partials agree on."""
        ear = self._utterance()
        said = [word.text for word in ear.words if word.text != self._unknown]
        words = [*said, *(ear.going_on() if self._length else [])]
        self._partials.append(words)
        agreed = common_prefix(self._partials) if len(self._partials) == _AGREEING else 0
        stable = words[: max(agreed, len(said))]
        return Hypothesis(" ".join(words), " ".join(stable))

    def finish(self) -> Hypothesis:
        """Close the utterance; takes 10 to 60 ms."""
        self._utterance()
        heard = [ear.finish() for ear in self._open]
        words = preferred(heard[0], heard[-1], self._unknown) if len(heard) > 1 else heard[0]
        if self._length >= _JUDGED and self._loudest < _STEADY * self._quietest:
            words = []
        kept = tuple(word for word in words if word.text != self._unknown)
        self._forget()
        text = " ".join(word.text for word in kept)
        confidence = sum(word.confidence for word in kept) / len(kept) if kept else None
        return Hypothesis(text, text, confidence, kept)

    def abort(self) -> None:
        """Forget the utterance."""
        for ear in self._open:
            ear.finish()
        self._forget()

    def _forget(self) -> None:
        self._open = []
        self._length = 0
        self._rest = self._rest[:0]
        self._loudest, self._quietest = 0.0, float("inf")
        self._partials.clear()

    def _utterance(self) -> _Ear:
        if not self._open:
            raise EngineError("no utterance is open")
        return self._open[0]

    def _measure(self, piece: Pcm) -> None:
        """The levels of whole tenths of a second, however the audio is cut."""
        audio = np.concatenate([self._rest, piece])
        whole = len(audio) // _FRAME * _FRAME
        self._rest = audio[whole:]
        if whole:
            squares = np.square(audio[:whole].astype(np.float64).reshape(-1, _FRAME))
            levels = np.sqrt(squares.mean(axis=1))
            self._loudest = max(self._loudest, float(levels.max()))
            self._quietest = min(self._quietest, float(levels.min()))

    def _bounded(self, grammar: str) -> _Ear:
        """The recognizer that hears nothing else; empty now, for a change within an utterance ends the process."""
        if self._bound is None or self._bound.taken > _RENEW_AFTER:
            self._bound = _Ear(self._new(self._model, RATE, grammar))
        else:
            self._bound.expect(grammar)
        return self._bound

    def _grammar(self, phrases: Sequence[str]) -> str | None:
        """Phrases as the library wants them; None without one that it could hear: an empty list ends the process."""
        if self._grammar_wanted is False:
            return None
        written = [text for text in map(_as_written, phrases) if text]
        if self._grammar_wanted is None and not (specific(written) and self._knows(self._unknown)):
            return None
        known = [text for text in written if all(map(self._knows, text.split()))]
        if not known:
            return None
        # As it is: the library does not read JSON's escapes.
        return json.dumps([*known, *([self._unknown] if self._knows(self._unknown) else [])], ensure_ascii=False)

    def _knows(self, word: str) -> bool:
        return int(self._model.vosk_model_find_word(word)) >= 0


def specific(phrases: Sequence[str]) -> bool:
    """Whether a short answer is expected."""
    return 0 < len(phrases) <= _MOST_PHRASES and all(len(phrase.split()) <= _MOST_WORDS for phrase in phrases)


def preferred(free: list[Word], bound: list[Word], unknown: str) -> list[Word]:
    """What the grammar's recognizer heard, if it is sure of every word and the free one heard about as many."""
    sure = all(word.confidence >= _SURE and word.text != unknown for word in bound)
    return bound if bound and sure and abs(len(bound) - len(free)) <= 1 else free


def _as_written(phrase: str) -> str:
    """A phrase as Vosk's dictionaries spell it: lower case, apostrophes, no other sign."""
    kept = (c if c.isalnum() or c == "'" else " " for c in phrase.lower().replace("\u2019", "'"))
    return " ".join("".join(kept).split())


def _model_folder(model: str | Path) -> Path:
    """The folder of a model, after a look whether it is one."""
    folder = resolve(model) if isinstance(model, str) and model in catalog() else Path(model)
    if not folder.is_dir():
        raise ModelUnavailable(
            f"{folder} is no folder: `wakeline models download vosk-small-en` gets the English model"
        )
    if not any((folder / name).is_file() for name in _ACOUSTIC):
        raise ModelUnavailable(f"{folder} is no Vosk model: it has no {_ACOUSTIC[0]}")
    return folder
