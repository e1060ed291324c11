"""Moonshine's network and tokenizer: audio in, tokens with their log-probabilities out."""

from __future__ import annotations

import math
import re
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
_CONTROL = re.compile(rb"<.+>")
_SHORTEST = 1600
"""Samples below which the encoder's convolutions have no output."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of one greedy decode."""

    text: str
    log_prob: float
    """Mean log-probability of the chosen tokens, the end token included; -inf when there was none."""


class MoonshineDecoder:
    """Greedy decoding with the key and value cache, on onnxruntime alone."""

    def __init__(self, encoder: Path, decoder: Path, tokenizer: Path, threads: int = 1) -> None:
        self._vocabulary = read_vocabulary(tokenizer)
        self._encoder = open_session(encoder, threads)
        self._decoder = open_session(decoder, threads)
        self._outputs = [output.name for output in self._decoder.get_outputs()]

    def decode(self, audio: Floats) -> Decoded:
        """The words in audio of -1..1 at 16 kHz."""
        if len(audio) < _SHORTEST:
            audio = np.pad(audio, (0, _SHORTEST - len(audio)))
        mask = np.ones((1, len(audio)), np.int64)
        (hidden,) = self._encoder.run(None, {"input_values": audio[None, :], "attention_mask": mask})
        tokens, log_probs = self._greedy(hidden, mask, math.ceil(len(audio) / RATE * _TOKENS_PER_SECOND))
        text = detokenize(self._vocabulary, tokens)
        return Decoded(text, float(np.mean(log_probs)) if log_probs else -math.inf)

    def _greedy(self, hidden: Floats, mask: npt.NDArray[np.int64], most: int) -> tuple[list[int], list[float]]:
        feeds: dict[str, npt.NDArray[Any]] = {
            "encoder_hidden_states": hidden,
            # The mask of the audio: the graph brings it down to the number of hidden frames by itself.
            "encoder_attention_mask": mask,
            **_empty_cache(),
        }
        tokens: list[int] = []
        log_probs: list[float] = []
        token = _START
        for step in range(most):
            feeds["input_ids"] = np.array([[token]], np.int64)
            feeds["use_cache_branch"] = np.array([step > 0])
            outputs = dict(zip(self._outputs, self._decoder.run(None, feeds), strict=True))
            logits = outputs.pop("logits")[0, -1]
            token = int(logits.argmax())
            # log-softmax of the largest logit.
            log_probs.append(-math.log(float(np.exp(logits - logits[token]).sum())))
            if token == _END:
                break
            tokens.append(token)
            for name, value in outputs.items():
                # The encoder's part never changes after the first step, where alone it is computed.
                if step == 0 or ".decoder." in name:
                    feeds[name.replace("present", "past_key_values")] = value
        return tokens, log_probs


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
