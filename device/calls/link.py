"""A link is one way to place a call. Owns its protocol, the values it speaks and its errors.

LinkError            code "link-failed"       the vendor or the network failed before anything was accepted
|-- LinkNotReady     code "link-not-ready"    no account, no number, no such destination: nothing was sent
|-- LinkRefused      code "link-refused"      the vendor said no (`status`): nothing is placed
`-- LinkUncertain    code "link-uncertain"    the request was sent and no answer came: a call may exist. Never
                                              place again; ask the vendor what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Cause(StrEnum):
    """Hangup cause: how a call ended, the same words for every link."""

    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class CallState(StrEnum):
    """How far a call has come."""

    DIALLING = "dialling"
    RINGING = "ringing"
    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Destination:
    """Somebody who can be called, by the name people say."""

    name: str
    link: str
    """Name of the link that reaches it."""
    address: str = ""
    """A number in E.164 form, a SIP address, or nothing where the link knows."""
    emergency: bool = False
    """Called without asking for consent."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One attempt."""

    id: str
    """Ours; sent along where the vendor lets us, so that an uncertain call can be found again."""
    destination: Destination
    reason: str
    summary: str = ""
    """What was said so far, for the person who answers; empty unless the user agreed to pass it on."""
    at: float = 0.0
    """Wall time of the attempt (seconds since 1970; 0: not known), for a vendor that keeps nothing of ours."""


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """The vendor accepted the call."""

    request: str
    vendor_id: str


@dataclass(frozen=True, slots=True)
class CallStatus:
    state: CallState
    cause: Cause | None = None
    """Set when `state` is ENDED."""
    detail: str = ""
    """The vendor's own word for it, for the record."""


class LinkError(Exception):
    code = "link-failed"


class LinkNotReady(LinkError):
    code = "link-not-ready"


class LinkRefused(LinkError):
    code = "link-refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class LinkUncertain(LinkError):
    code = "link-uncertain"


class Link(Protocol):
    """One way to place a call; all methods are bounded in time and raise only `LinkError`s."""

    name: str

    async def place(self, request: CallRequest) -> PlacedCall:
        """Exactly one attempt; never repeated inside."""
        ...

    async def find(self, request: CallRequest) -> PlacedCall | None:
        """After `LinkUncertain`: the call that exists for this request, or None if the vendor knows of none."""
        ...

    async def status(self, call: PlacedCall) -> CallStatus: ...

    async def hang_up(self, call: PlacedCall) -> None:
        """Idempotent."""
        ...

    async def aclose(self) -> None: ...
