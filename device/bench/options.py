"""What can be chosen for `wakeline bench loop`, and what can go wrong with it. Light: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

PARTS = ("gap", "pauses", "noisy", "slow", "wake", "idle", "process", "breath")
_UNASKED = tuple(part for part in PARTS if part != "breath")


class BenchFault(Exception):
    """The bench cannot go on; the text is one line for people, `code` is stable."""

    code: ClassVar[str] = "bench-failed"


class ManifestInvalid(BenchFault):
    """The folder of recordings cannot be used."""

    code = "manifest-invalid"


class ProcessFailed(BenchFault):
    """The appliance did not come up."""

    code = "bench-start"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose."""

    tts: str = "piper"
    slowdown: float = 1.0
    data: Path | None = None
    record: Path | None = None
    only: tuple[str, ...] = ()
    quick: bool = False
    hours: float = 0.25
    """Of other speech for the wake word."""

    @property
    def parts(self) -> tuple[str, ...]:
        return self.only or (() if self.data else _UNASKED)

    def count(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole
