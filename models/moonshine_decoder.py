"""Moonshine's network and tokenizer: audio in, tokens with their log-probabilities out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.engines import RATE, ModelUnavailable
from models.ort import open_session

Floats = npt.NDArray[np.float32]

_LAYERS = 6
_HEADS = 8
_HEAD_SIZE = 36
_START = 1
_END = 2
_TOKENS_PER_SECOND = 6.5
"""More tokens than speech can have: a decoder that loops over a noise ends here."""
_SPACE = "\u2581"
_BYTES = 3
_WORDS = 259
"""Tokens of single bytes begin at the first number, those of text at the second."""
_LONGEST = 48
"""Bytes of the longest token."""
_CONTROL = re.compile(rb"<.+>")
_SHORTEST = 1600
"""Samples below which the encoder's convolutions have no output."""


Cache = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of one greedy decode."""

    text: str
    log_prob: float
    """Mean log-probability of the chosen tokens, the end token included; -inf when there was none."""
    tokens: int = 0
    """How many these are."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance as the encoder has understood it, and the decoder's first step on it."""

    seconds: float
    first: Floats
    """The log-probability of every token to be the first."""
    cache: Cache


class MoonshineDecoder:
    """Decoding with the key and value cache, on onnxruntime alone."""

    def __init__(self, encoder: Path, decoder: Path, tokenizer: Path, threads: int = 1) -> None:
        self._vocabulary = read_vocabulary(tokenizer)
        self._numbers = {piece: number for number, piece in enumerate(self._vocabulary) if number >= _WORDS}
        self._encoder = open_session(encoder, threads)
        self._decoder = open_session(decoder, threads)
        self._outputs = [output.name for output in self._decoder.get_outputs()]

    def hear(self, audio: Floats) -> Heard:
        """Encode audio of -1..1 at 16 kHz."""
        if len(audio) < _SHORTEST:
            audio = np.pad(audio, (0, _SHORTEST - len(audio)))
        mask = np.ones((1, len(audio)), np.int64)
        (hidden,) = self._encoder.run(None, {"input_values": audio[None, :], "attention_mask": mask})
        # The mask of the audio: the graph brings it down to the number of hidden frames by itself.
        fixed = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}
        first, cache = self._step(fixed | _empty_cache(), _START, first=True)
        return Heard(len(audio) / RATE, first, cache)

    def decode(self, heard: Heard) -> Decoded:
        """The likeliest words, each after the ones before it."""
        tokens: list[int] = []
        log_probs: list[float] = []
        row, cache = heard.first, heard.cache
        for _ in range(math.ceil(heard.seconds * _TOKENS_PER_SECOND)):
            token = int(row.argmax())
            log_probs.append(float(row[token]))
            if token == _END:
                break
            tokens.append(token)
            row, cache = self._step(cache, token)
        text = detokenize(self._vocabulary, tokens)
        return Decoded(text, float(np.mean(log_probs)) if log_probs else -math.inf, len(log_probs))

    def compare(self, heard: Heard, texts: Sequence[str], floor: float) -> dict[str, Decoded]:
        """Of these texts, as they would be written, those whose whole log-probability is not below `floor`.

        A text is given up at the token that brings it below: nearly all of them at their first, which costs nothing.
        """
        found: dict[str, Decoded] = {}
        whole = {text: [*self.tokenize(text), _END] for text in texts}
        waiting = [(list(whole), 0, 0.0, heard.first, heard.cache)]
        while waiting:
            alike, at, so_far, row, cache = waiting.pop()
            for token in dict.fromkeys(whole[text][at] for text in alike):
                total = so_far + float(row[token])
                same = [text for text in alike if whole[text][at] == token]
                if total < floor:
                    continue
                if token == _END:
                    found[same[0]] = Decoded(same[0], total / (at + 1), at + 1)
                else:
                    waiting.append((same, at + 1, total, *self._step(cache, token)))
        return found

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text: always the longest that fits."""
        raw = (_SPACE + text.replace(" ", _SPACE)).encode()
        tokens = []
        at = 0
        while at < len(raw):
            length = next((n for n in range(_LONGEST, 0, -1) if raw[at : at + n] in self._numbers), 0)
            # A byte that begins no token has one of its own.
            tokens.append(self._numbers[raw[at : at + length]] if length else raw[at] + _BYTES)
            at += length or 1
        return tokens

    def _step(self, cache: Cache, token: int, *, first: bool = False) -> tuple[Floats, Cache]:
        """The log-probabilities of what follows a token, and the cache with it."""
        ids = {"input_ids": np.array([[token]], np.int64), "use_cache_branch": np.array([not first])}
        outputs = dict(zip(self._outputs, self._decoder.run(None, {**cache, **ids}), strict=True))
        logits = outputs.pop("logits")[0, -1]
        row: Floats = logits - (logits.max() + np.log(np.exp(logits - logits.max()).sum()))
        # The encoder's part never changes after the first step, where alone it is computed.
        kept = {name: value for name, value in outputs.items() if first or ".decoder." in name}
        return row, {**cache, **{name.replace("present", "past_key_values"): value for name, value in kept.items()}}


def read_vocabulary(path: Path) -> list[bytes]:
    """The tokens by number: byte strings after their length (from 128 on a second byte counts the 128s)."""
    data = path.read_bytes()
    tokens: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            if at >= len(data):
                raise ModelUnavailable(f"{path} ends inside a token")
            length = data[at] * 128 + length - 128
            at += 1
        if at + length > len(data):
            raise ModelUnavailable(f"{path} ends inside a token")
        tokens.append(data[at : at + length])
        at += length
    return tokens


def detokenize(vocabulary: list[bytes], tokens: list[int]) -> str:
    """The text of the tokens, without control tokens such as <s>."""
    pieces = (vocabulary[token] for token in tokens if token < len(vocabulary))
    raw = b"".join(piece for piece in pieces if not _CONTROL.fullmatch(piece))
    return " ".join(raw.decode("utf-8", "ignore").replace(_SPACE, " ").split())


def _empty_cache() -> dict[str, Floats]:
    # One dummy position: the first step ignores it, and the graph refuses a length of zero.
    empty = np.zeros((1, _HEADS, 1, _HEAD_SIZE), np.float32)
    return {
        f"past_key_values.{layer}.{side}.{kind}": empty
        for layer in range(_LAYERS)
        for side in ("decoder", "encoder")
        for kind in ("key", "value")
    }
