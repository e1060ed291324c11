"""Rate change in the loop and in one go: level, delay, chunking, drift."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.frames import RATE, Pcm
from audio.resample import MAX_STRETCH, Resampler, resample

PAIRS = [(48_000, RATE), (44_100, RATE), (RATE, 48_000), (RATE, 44_100), (8_000, RATE), (RATE, 8_000), (32_000, RATE)]


def tone(rate: int, seconds: float = 1.0, hz: float = 440.0, amplitude: float = 16_000) -> Pcm:
    return np.rint(amplitude * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


def rms(pcm: Pcm) -> float:
    return float(np.sqrt((pcm.astype(np.float64) ** 2).mean()))


def frequency(pcm: Pcm, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), 1 << 18))
    return float(spectrum.argmax() * rate / (1 << 18))


def stream(resampler: Resampler, pcm: Pcm, block: int) -> Pcm:
    return np.concatenate([resampler.push(pcm[at : at + block]) for at in range(0, len(pcm), block)])


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_tone_keeps_its_level_pitch_and_place(source: int, target: int) -> None:
    pcm = np.concatenate([np.zeros(source // 2, np.int16), tone(source)])
    out = stream(Resampler(source, target), pcm, source // 100)
    settled = out[target * 3 // 4 : target * 5 // 4]
    assert rms(settled) == pytest.approx(16_000 / np.sqrt(2), rel=0.01)
    assert frequency(settled, target) == pytest.approx(440, abs=1)
    onset = int((np.abs(out.astype(np.int32)) > 2_000).argmax())
    assert abs(onset - target // 2) <= target // 1000


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_little_waits_inside_and_every_later_block_answers(source: int, target: int) -> None:
    resampler = Resampler(source, target)
    block = source // 100
    answers = [len(resampler.push(np.zeros(block, np.int16))) for _ in range(100)]
    assert all(answers[4:])
    assert resampler.pending == 100 * target // 100 - sum(answers)
    # The filter is counted in samples of the slower side: telephone audio waits longer.
    limit_ms = 40 if min(source, target) < RATE else 20
    assert resampler.pending <= target * limit_ms // 1000


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_silence_stays_silence(source: int, target: int) -> None:
    assert not stream(Resampler(source, target), np.zeros(source // 4, np.int16), 441).any()


@settings(max_examples=40, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    cuts=st.lists(st.integers(0, 4_000), max_size=30),
    seed=st.integers(0, 1 << 16),
)
def test_the_cut_into_blocks_does_not_matter(pair: tuple[int, int], cuts: list[int], seed: int) -> None:
    source, target = pair
    pcm = np.random.default_rng(seed).integers(-20_000, 20_000, 8_000).astype(np.int16)
    edges = [0, *sorted(cuts), len(pcm)]
    cut = Resampler(source, target)
    pieces = np.concatenate([cut.push(pcm[a:b]) for a, b in itertools.pairwise(edges)])
    whole = Resampler(source, target).push(pcm)
    assert len(pieces) == len(whole)
    assert np.abs(pieces.astype(np.int32) - whole).max(initial=0) <= 1


def test_equal_rates_pass_through_untouched() -> None:
    pcm = tone(RATE, 0.1)
    resampler = Resampler(RATE, RATE)
    assert resampler.push(pcm) is pcm
    assert resampler.pending == 0
    with pytest.raises(ValueError, match="follow"):
        resampler.ratio = 1.001


@pytest.mark.parametrize("ppm", [-2_000, -100, 100, 2_000])
def test_the_ratio_follows_a_drifting_clock(ppm: int) -> None:
    resampler = Resampler(RATE, 48_000, follow=True)
    resampler.ratio = 1 + ppm * 1e-6
    out = stream(resampler, tone(RATE, 10), 160)
    assert len(out) + resampler.pending == pytest.approx(480_000 / (1 + ppm * 1e-6), abs=2)


def test_the_ratio_is_kept_within_what_the_resampler_was_made_for() -> None:
    resampler = Resampler(RATE, RATE, follow=True)
    resampler.ratio = 2.0
    assert resampler.ratio == 1 + MAX_STRETCH
    resampler.ratio = 0.5
    assert resampler.ratio == 1 - MAX_STRETCH


def test_changing_the_ratio_while_it_runs_does_not_click() -> None:
    resampler = Resampler(RATE, 48_000, follow=True)
    pcm = tone(RATE, 2, hz=300)
    pieces = []
    for index in range(0, len(pcm), 160):
        resampler.ratio = 1 + 0.002 * np.sin(index / 4_000)
        pieces.append(resampler.push(pcm[index : index + 160]))
    out = np.concatenate(pieces).astype(np.float64)
    # A pure tone's second difference is bounded by amplitude x (2 pi f / rate)^2: a click would stand out.
    assert np.abs(np.diff(out, 2))[5_000:].max() < 3 * 16_000 * (2 * np.pi * 300 / 48_000) ** 2


def test_after_clear_nothing_old_comes_out() -> None:
    resampler = Resampler(RATE, 48_000, follow=True)
    resampler.ratio = 1.002
    resampler.push(tone(RATE, 0.3))
    resampler.clear()
    assert resampler.ratio == 1.002
    out = resampler.push(np.zeros(RATE, np.int16))
    assert not out.any()
    assert len(out) + resampler.pending == pytest.approx(48_000 / 1.002, abs=2)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_one_shot(source: int, target: int) -> None:
    out = resample(tone(source), source, target)
    assert len(out) == pytest.approx(target, abs=2)
    assert rms(out) == pytest.approx(16_000 / np.sqrt(2), rel=0.01)


def test_one_shot_clips_instead_of_wrapping() -> None:
    square = np.where(tone(48_000, hz=100) >= 0, 32_767, -32_768).astype(np.int16)
    out = resample(square, 48_000, RATE)
    # Around an edge the filter overshoots; wrapped, a loud sample would change its sign in the middle of a half wave.
    assert (out[20:60] > 30_000).all()
