"""Owns how often Python looks for cyclic garbage: what is there after the start is never looked at again."""

from __future__ import annotations

import gc

_YOUNG = 10_000
"""Allocations between two looks at the youngest objects; a request of a webhook makes some hundred that die with it."""


def settle() -> None:
    """Call once, when everything is built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
