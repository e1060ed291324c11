"""Owns what a process asks of the kernel and the C library: to end with its parent, and to give memory back."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """The kernel kills this process when the thread that started it ends; `parent` is that thread's process.

    See prctl(2), PR_SET_PDEATHSIG: it is the *thread* that counts, so children are started from threads that stay.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before the call above.
    if os.getppid() != parent:
        os._exit(0)


def give_memory_back() -> None:
    """Return what is free to the system. Tensors of every length leave holes that malloc keeps: Piper's process grew by
    60 MB in 8 hours of few words. Takes some 10 ms, so it is called when nobody waits."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
