"""Whether the clock can be trusted. A board without a battery starts with the time of its last shutdown, or 1970."""

from __future__ import annotations

import ctypes
import logging
import time
from pathlib import Path

log = logging.getLogger("wakeline.web")

BUILD_YEAR = 2026
"""No authentic request is older than this program."""
_SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
_SYSTEMD = Path("/run/systemd/system")
_TIME_ERROR = 5
_TIMEX_BYTES = 512
"""More than a struct timex has anywhere; all zero it asks and changes nothing."""


class ClockTrust:
    """Call it: True once the clock is right, and from then on; says once that it is not."""

    def __init__(self) -> None:
        self._trusted = False
        self._said = False

    def __call__(self) -> bool:
        if not self._trusted:
            self._trusted = is_synchronized()
            if not self._trusted and not self._said:
                self._said = True
                log.warning("the clock is not set yet: signatures are accepted whatever their time, until it is")
        return self._trusted


def is_synchronized() -> bool:
    """A plausible year, and somebody keeps the time; in a container, where nobody does, the year alone."""
    if time.gmtime().tm_year < BUILD_YEAR:
        return False
    return _SYNCHRONIZED.exists() or not _SYSTEMD.exists() or _kernel_says_so()


def _kernel_says_so() -> bool:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    return bool(0 <= state < _TIME_ERROR)
