"""Owns noise and how it is mixed: pink noise, babble, a level relative to the speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audio.frames import RATE, Pcm

Floats = npt.NDArray[np.float64]

_PIECE = RATE // 50
_ACTIVE_DB = 20.0
"""Speech is what lies at most so far below the loudest 20 ms."""
_STEP = RATE // 10


def pink(samples: int, rng: np.random.Generator) -> Floats:
    """Noise of RMS 1 whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return _unit(np.fft.irfft(spectrum, samples))


def babble(samples: int, talkers: Sequence[Sequence[Pcm]], rng: np.random.Generator) -> Floats:
    """All talkers at once, of RMS 1: each says sentences of their own in any order, with short pauses."""
    out = np.zeros(samples)
    for sentences in talkers:
        at = -int(rng.integers(0, RATE))
        while at < samples:
            said = sentences[int(rng.integers(len(sentences)))].astype(np.float64)
            start, end = max(at, 0), min(samples, at + len(said))
            if end > start:
                out[start:end] += said[start - at : end - at]
            at += len(said) + int(rng.integers(_STEP // 4, 3 * _STEP))
    return _unit(out)


def active_level(speech: Pcm) -> float:
    """RMS while somebody speaks."""
    pieces = speech[: len(speech) // _PIECE * _PIECE].reshape(-1, _PIECE).astype(np.float64)
    powers = np.mean(np.square(pieces), axis=1)
    loud = powers[powers > powers.max(initial=1.0) * 10 ** (-_ACTIVE_DB / 10)]
    return float(np.sqrt(np.mean(loud))) if len(loud) else 0.0


def mixed(clean: Pcm, noise: Floats, level: float, snr_db: float) -> Pcm:
    """Noise of RMS 1 so many dB below `level`, over the recording."""
    whole = clean + noise * level * 10 ** (-snr_db / 20)
    return np.clip(np.rint(whole), -32768, 32767).astype(np.int16)


def _unit(noise: Floats) -> Floats:
    rms = float(np.sqrt(np.mean(np.square(noise))))
    return noise / rms if rms else noise
