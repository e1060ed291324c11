"""Owns how a child process ends with its parent, also when the parent is killed."""

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
