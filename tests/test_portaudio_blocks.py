"""The ring between callback and pump: what is read is what was written, in order, whatever the block lengths."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.blocks import SampleRing

Step = tuple[str, int]
STEPS = st.lists(st.tuples(st.sampled_from(["write", "read_into", "read", "discard"]), st.integers(0, 40)), max_size=80)


@settings(deadline=None)
@given(capacity=st.integers(1, 64), steps=STEPS)
def test_the_ring_is_a_bounded_queue(capacity: int, steps: list[Step]) -> None:
    ring = SampleRing(capacity)
    model: list[int] = []
    held = 0  # discarded samples that the reader has not passed yet: they still take room
    clock = 0
    for name, count in steps:
        if name == "write":
            block = np.arange(clock, clock + count, dtype=np.int16)
            clock += count
            fits = min(count, capacity - len(model) - held)
            assert ring.write(block) == count - fits
            model += block[:fits].tolist()
        elif name == "discard":
            ring.discard()
            held += len(model)
            model = []
        else:
            wanted = count if name == "read_into" else len(model)
            out = np.full(wanted, -1, np.int16)
            if name == "read_into":
                assert ring.read_into(out) == min(wanted, len(model))
            else:
                out = ring.read()
            held = 0
            taken = min(wanted, len(model))
            assert out[:taken].tolist() == model[:taken]
            assert (out[taken:] == -1).all()
            model = model[taken:]
        assert ring.level == len(model)


def test_a_stereo_view_can_be_filled() -> None:
    ring = SampleRing(8)
    ring.write(np.array([1, 2, 3], np.int16))
    out = np.zeros((4, 2), np.int16)
    assert ring.read_into(out[:, 1]) == 3
    assert out.tolist() == [[0, 1], [0, 2], [0, 3], [0, 0]]


def test_two_threads_neither_lose_nor_mix_samples() -> None:
    ring = SampleRing(1_000)
    total = 200_000
    wave = np.arange(total, dtype=np.int64).astype(np.int16)
    received: list[np.ndarray[tuple[int], np.dtype[np.int16]]] = []

    def read() -> None:
        count = 0
        while count < total:
            block = ring.read()
            received.append(block)
            count += len(block)

    reader = threading.Thread(target=read)
    reader.start()
    at = 0
    while at < total:
        block = wave[at : at + 77]
        at += len(block) - ring.write(block)
    reader.join(10)
    assert np.array_equal(np.concatenate(received), wave)
