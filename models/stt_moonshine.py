"""Speech to text with Moonshine tiny-en: utterances are decoded whole, partials by decoding again what came so far."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from models.catalog import resolve
from models.engines import RATE, EngineError, Hypothesis, Pcm
from models.moonshine_decoder import Decoded, Floats, Heard, MoonshineDecoder

_LEAD = RATE * 3 // 10
_TAIL = RATE * 8 // 10
"""Zeros around the utterance: 0.3 s before and 0.8 s after gave the fewest errors (2.9 % of words, 5.5 % without)."""
_LONGEST = 15 * RATE
"""The decoder's time grows faster than the utterance, and it was trained on no longer ones; the rest is dropped."""
_SHORTEST = RATE // 5
_FLOOR = 10 ** (-60 / 20)
"""RMS of the loudest tenth of a second below which there was no speech: quiet rooms and electronics."""
_FRAME = RATE // 10
_REJECT_BELOW = -1.0
"""Mean log-probability: right utterances lie above -0.5."""
_NEVER_SAID = frozenset(("you",))
"""Written for almost any steady noise, and with up to 0.97 confidence; alone it is no request."""
_SILENCE_TEXTS = frozenset(("thank you", "thanks", "bye", "the", "yeah", "oh", "so", "hmm", "i", "okay"))
"""Written for noise now and then, but said too: believed with a better score, if the audio is not steady."""
_BELIEVE_ABOVE = -0.4
_STEADY = 2.0
"""Loudest over quietest tenth of a second: noise stays below 6 dB, an utterance with its pause does not."""
_AGREEING = 3
_MARGIN = 3.0
"""An expected phrase is taken when its log-probability, summed over its tokens, is no more than this below the free
text's: of short answers in noise of 10 dB 91 % are right instead of 76 %, and other speech stays as it was
(docs/voices.md). From 5 on, near misses ("fifty minutes") turn into what was expected."""
_MOST_PHRASES = 64
_MOST_WORDS = 4
"""A longer one is the example of a request: near it lies the same request for another day."""


class MoonshineRecognizer:
    """`confidence` is the geometric mean of the tokens' probabilities: from 0.82 on 83 % of utterances were right."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._decoder: MoonshineDecoder | None = None
        self._pieces: list[Pcm] | None = None
        self._length = 0
        self._partials: deque[list[str]] = deque(maxlen=_AGREEING)
        self._phrases: Sequence[str] = ()
        self._latest: tuple[int, Heard, Decoded] | None = None
        """What the audio of that length was decoded to: without more of it the final is the last partial."""

    def load(self) -> None:
        names = ("encoder", "decoder", "tokenizer")
        encoder, decoder, tokenizer = (resolve(f"moonshine-tiny-en-{name}") for name in names)
        self._decoder = MoonshineDecoder(encoder, decoder, tokenizer, self._threads)
        # The first inference allocates: better now than in somebody's first request.
        self._decoder.decode(self._decoder.hear(np.zeros(RATE, np.float32)))

    def start(self, phrases: Sequence[str] = ()) -> None:
        """Begin an utterance; the final text may be one of the phrases, if it is nearly as likely as the free one."""
        self._phrases = phrases[:_MOST_PHRASES]
        self.abort()
        self._pieces = []

    def feed(self, pcm: Pcm) -> None:
        """Append audio; beyond 15 s it is dropped."""
        if self._pieces is None:
            raise EngineError("no utterance is open")
        piece = pcm[: _LONGEST - self._length]
        if len(piece):
            # A copy: the caller may reuse its buffer.
            self._pieces.append(piece.copy())
            self._length += len(piece)

    def partial(self) -> Hypothesis:
        """What was said so far; `stable` are the words on which the last three partials agree."""
        text, confidence = self._decode(())
        words = text.split()
        self._partials.append(words)
        agreed = common_prefix(list(self._partials)) if len(self._partials) == _AGREEING else 0
        return Hypothesis(text, " ".join(words[:agreed]), confidence)

    def finish(self) -> Hypothesis:
        """Close the utterance and decode it."""
        text, confidence = self._decode(self._phrases)
        self.abort()
        return Hypothesis(text, text, confidence)

    def abort(self) -> None:
        """Forget the utterance."""
        self._pieces = None
        self._length = 0
        self._partials.clear()
        self._latest = None

    def _decode(self, phrases: Sequence[str]) -> tuple[str, float | None]:
        if self._decoder is None:
            raise EngineError("the recognizer is not loaded")
        if self._pieces is None:
            raise EngineError("no utterance is open")
        if self._length < _SHORTEST:
            return "", None
        audio: Floats = np.concatenate(self._pieces).astype(np.float32)
        audio /= np.float32(32768)
        levels = frame_levels(audio)
        if levels.max() < _FLOOR:
            return "", None
        if self._latest is None or self._latest[0] != self._length:
            heard = self._decoder.hear(np.pad(audio, (_LEAD, _TAIL)))
            self._latest = (self._length, heard, self._decoder.decode(heard))
        _, heard, decoded = self._latest
        steady = bool(levels.max() < _STEADY * max(float(levels.min()), _FLOOR / 10))
        if rejected(decoded.text, decoded.log_prob, steady):
            return "", None
        wanted = candidates(decoded.text, phrases)
        found = self._decoder.compare(heard, list(wanted), decoded.log_prob * decoded.tokens - _MARGIN)
        if found:
            likeliest = max(found.values(), key=lambda one: one.log_prob * one.tokens)
            if plain(likeliest.text) != plain(decoded.text):
                return wanted[likeliest.text], math.exp(likeliest.log_prob)
        return decoded.text, math.exp(decoded.log_prob)


def candidates(text: str, phrases: Sequence[str]) -> dict[str, str]:
    """The phrases that may stand for a freely decoded text, by how Moonshine would write them.

    None where a number was heard in figures: another one is likely at any time. And none that is much shorter: "no, at
    seven" is more than "no".
    """
    if any(character.isdigit() for character in text):
        return {}
    fewest = len(text.split()) - 1
    forms: dict[str, str] = {}
    for phrase in filter(None, (phrase.strip() for phrase in phrases)):
        if fewest <= len(phrase.split()) <= _MOST_WORDS:
            written = phrase[0].upper() + phrase[1:]
            forms |= {written: phrase, f"{written}.": phrase}
    return forms


def frame_levels(audio: Floats) -> Floats:
    """RMS of each whole tenth of a second."""
    whole = audio[: len(audio) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels: Floats = np.sqrt(np.square(whole).mean(axis=1))
    return levels


def rejected(text: str, log_prob: float, steady: bool) -> bool:
    """Whether a decoded text is what the network makes of noise; `steady`: its audio never changed in level."""
    if not any(character.isalnum() for character in text) or log_prob < _REJECT_BELOW:
        return True
    if plain(text) in _NEVER_SAID:
        return True
    return plain(text) in _SILENCE_TEXTS and (steady or log_prob < _BELIEVE_ABOVE)


def plain(text: str) -> str:
    """A text without case and punctuation, as two decodes of the same words are compared."""
    kept = (c if c.isalnum() else " " for c in text.lower() if c not in "'\u2019")
    return " ".join("".join(kept).split())


def common_prefix(partials: Sequence[Sequence[str]]) -> int:
    """How many leading words all partials share, whatever their case and punctuation."""
    count = 0
    for words in zip(*partials, strict=False):
        if len({plain(word) for word in words}) > 1:
            break
        count += 1
    return count
