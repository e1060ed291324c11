"""What is kept of each attempt to call somebody, and the small store that keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as the store keeps it. What people said is not in it."""

    id: str
    at: float
    """Wall time, seconds since 1970."""
    destination: str
    link: str
    address: str
    emergency: bool = False
    vendor_id: str = ""
    """Empty until the vendor's answer is known."""
    cause: str = ""
    """A `Cause` value; empty while the attempt is open."""
    code: str = ""
    detail: str = ""
    answered: bool = False
    ended_at: float | None = None


class CallStore(Protocol):
    """The part of the store that escalations need.

    Each method has committed when it returns, or raises `device.functions.contract.StoreFailed`.
    """

    def record_call(self, attempt: Attempt) -> None:
        """A new, open attempt."""
        ...

    def mark_call_placed(self, call: str, vendor_id: str) -> None: ...

    def mark_call_ended(self, call: str, cause: str, code: str, detail: str, answered: bool, at: float) -> None: ...

    def open_calls(self) -> list[Attempt]:
        """Attempts without a cause, oldest first."""
        ...

    def count_calls_since(self, at: float) -> int:
        """Attempts recorded at this wall time or later, however they ended."""
        ...
