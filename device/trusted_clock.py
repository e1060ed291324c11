"""Whether the clock can be trusted with a date. Owns the signs by which that is known.

A Raspberry Pi has no battery clock: after a power cut it goes on from about the time at which it went out, until the
network has told it the time. Dates said before that would be wrong, and nobody would notice. Trusted is a clock that

- was synchronised since the start (systemd-timesyncd's mark, or the kernel's state, which chrony and ntpd set), or
- comes from a battery clock, or from the host of a computer that is no such board,

and that stands after the last thing it has dated itself. Once trusted it stays so while the process lives: a running
clock does not go wrong by hours.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_SYNCHRONISED: Final = Path("run/systemd/timesync/synchronized")
_BOARD: Final = Path("proc/device-tree/model")
_BATTERY: Final = Path("sys/class/rtc")
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512
"""More than any kernel's `struct timex` has."""
FIRST: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Nothing of this program is older; a clock that has lost its battery stands at 1970 or 2000."""


def kernel_synchronised() -> bool:
    """What the kernel says of its clock; asking changes nothing (`modes` is 0)."""
    try:
        answer: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    return 0 <= answer < _TIME_ERROR


class ClockTrust:
    """Call it to know. `newest` is when something was dated last, as far as the device remembers."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        newest: datetime | None = None,
        *,
        root: Path = Path("/"),
        synchronised: Callable[[], bool] = kernel_synchronised,
    ) -> None:
        self._clock = clock
        self._floor = max(FIRST, newest or FIRST)
        self._root = root
        self._synchronised = synchronised
        self._trusted = False

    def __call__(self) -> bool:
        self._trusted = self._trusted or self._look()
        return self._trusted

    def _look(self) -> bool:
        if (self._root / _SYNCHRONISED).exists() or self._synchronised():
            return True
        if self._clock().astimezone(UTC) < self._floor:
            return False
        return not (self._root / _BOARD).exists() or self._battery()

    def _battery(self) -> bool:
        """Whether the kernel has set the time from a battery clock when it started."""
        for clock in sorted((self._root / _BATTERY).glob("rtc*/hctosys")):
            try:
                if clock.read_text().strip() == "1":
                    return True
            except OSError:
                continue
        return False


def last_written(path: Path) -> datetime | None:
    """When a file was written last, by this device's own clock."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return None
