"""Speech to text with Vosk: it decodes while one speaks. Several calls of its library end the process, therefore it is
run through `HostedRecognizer`, and what ends it cannot be asked for here."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.catalog import catalog, resolve
from models.engines import RATE, EngineError, EngineUnavailable, Hypothesis, ModelUnavailable, Pcm
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


class VoskRecognizer:
    """`confidence` is the mean of the words'; partials have none (Vosk's are not worth it, and cost a second).

    One recognizer lives as long as the engine and is emptied by a `FinalResult` that nobody reads: `Reset` would let
    audio leak into the next utterance. Word times are not given: they count on over all utterances.
    """

    def __init__(self, model: str | Path = "vosk-small-en", grammar: bool = False) -> None:
        """`model` is a name of the catalog or a Vosk model's folder.

        With `grammar` an utterance that comes with phrases can *only* be heard as words of these: nothing else can be
        answered then, and a model without a word for the unknown makes one of them of any noise. What the dialog
        expects is a hint and no more, so it is off unless somebody asks for it.
        """
        self._where = model
        self._bound_wanted = grammar
        self._model: Any = None
        self._free: Any = None
        self._bound: Any = None
        """Made at the first grammar and kept, so that the free one never changes its graph."""
        self._new: Any = None
        self._open: Any = None
        """The one of the two that hears the utterance; None when none is open, and then both are empty."""
        self._length = 0
        self._rest: Pcm = np.zeros(0, np.int16)
        self._loudest, self._quietest = 0.0, float("inf")
        self._said: list[str] = []
        self._certain: list[float] = []
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
            self._free = self._made()
        except Exception as error:  # the package raises nothing more exact
            raise ModelUnavailable(f"{folder} is damaged or no Vosk model ({error})") from error

    def start(self, phrases: Sequence[str] = ()) -> None:
        """Begin an utterance; the phrases count only where a grammar was asked for."""
        if self._free is None:
            raise EngineError("the recognizer is not loaded")
        self.abort()
        grammar = self._grammar(phrases) if self._bound_wanted else None
        self._open = self._free if grammar is None else self._bounded(grammar)

    def feed(self, pcm: Pcm) -> None:
        """Append audio and decode it (14 ms for every quarter second of it); beyond 30 s it is dropped."""
        recognizer = self._utterance()
        piece = pcm[: _LONGEST - self._length]
        if piece.dtype != np.int16 or piece.ndim != 1:
            raise EngineError("audio is mono int16")
        self._length += len(piece)
        self._measure(piece)
        # The library has an endpoint of its own, in a pause; the utterance goes on all the same.
        if len(piece) and recognizer.AcceptWaveform(piece.tobytes()):
            self._take(json.loads(recognizer.Result()))

    def partial(self) -> Hypothesis:
        """What was said so far; `stable` is what the library has closed, or the last three partials agree on."""
        recognizer = self._utterance()
        found = json.loads(recognizer.PartialResult()) if self._length else {}
        # Before any audio, and after its own endpoint, the library writes "text" where "partial" belongs.
        going_on = str(found.get("partial") or found.get("text") or "").split()
        words = [*self._said, *going_on]
        self._partials.append(words)
        agreed = common_prefix(self._partials) if len(self._partials) == _AGREEING else 0
        stable = words[: max(agreed, len(self._said))]
        return Hypothesis(" ".join(words), " ".join(stable))

    def finish(self) -> Hypothesis:
        """Close the utterance; takes 10 to 60 ms."""
        self._take(json.loads(self._utterance().FinalResult()))
        if self._length >= _JUDGED and self._loudest < _STEADY * self._quietest:
            self._said, self._certain = [], []
        text = " ".join(self._said)
        confidence = sum(self._certain) / len(self._certain) if self._certain else None
        self._forget()
        return Hypothesis(text, text, confidence)

    def abort(self) -> None:
        """Forget the utterance."""
        if self._open is not None:
            self._open.FinalResult()
        self._forget()

    def _forget(self) -> None:
        self._open = None
        self._length = 0
        self._rest = self._rest[:0]
        self._loudest, self._quietest = 0.0, float("inf")
        self._said, self._certain = [], []
        self._partials.clear()

    def _utterance(self) -> Any:
        if self._open is None:
            raise EngineError("no utterance is open")
        return self._open

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

    def _take(self, result: Mapping[str, Any]) -> None:
        """A closed piece of the utterance."""
        heard = [(word["word"], word["conf"]) for word in result.get("result", ()) if word["word"] != _UNKNOWN]
        self._said += [word for word, _ in heard]
        self._certain += [min(1.0, max(0.0, float(sure))) for _, sure in heard]

    def _made(self, *grammar: str) -> Any:
        recognizer = self._new(self._model, RATE, *grammar)
        recognizer.SetWords(True)
        recognizer.AcceptWaveform(bytes(2 * _WARM_UP))
        recognizer.FinalResult()
        return recognizer

    def _bounded(self, grammar: str) -> Any:
        """The recognizer that hears nothing else; empty now, for a change within an utterance ends the process."""
        if self._bound is None:
            self._bound = self._made(grammar)
        else:
            self._bound.SetGrammar(grammar)
        return self._bound

    def _grammar(self, phrases: Sequence[str]) -> str | None:
        """Phrases as the library wants them; None without one that it could hear: an empty list ends the process."""
        known = [text for text in map(_as_written, phrases) if text and all(map(self._knows, text.split()))]
        if not known:
            return None
        # As it is: the library does not read JSON's escapes.
        return json.dumps([*known, *([_UNKNOWN] if self._knows(_UNKNOWN) else [])], ensure_ascii=False)

    def _knows(self, word: str) -> bool:
        return int(self._model.vosk_model_find_word(word)) >= 0


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
