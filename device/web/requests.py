"""The values at the door: a request as it arrived, one that is proven authentic, and an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qsl

MOST_FIELDS = 1000
"""Fields of a form."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A request as it arrived; nothing in it is to be believed."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """By lower-case name, decoded as latin-1; a repeated header is joined with ", ", so no signature fits it."""
    body: bytes
    now: datetime
    """When it was here completely; aware."""


@dataclass(frozen=True, slots=True)
class Authentic:
    """A request whose signature was right. Its query is authentic only where the scheme signs the URL (Twilio)."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    query: str
    received: datetime
    digest: str = ""
    """Of what is the same in all its replays: under it its answer is kept."""

    def form(self) -> list[tuple[str, str]]:
        """The fields of a form in their order; repeated and blank ones too."""
        return form_fields(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status: int = 200
    body: bytes = b"{}"
    media_type: str = "application/json"
    keep: bool = True
    """Kept in the record of answers: the same request again gets it again, and nothing runs. False also where the
    handler has recorded it with what it changed, under the request's digest."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with it; not kept."""


Handler = Callable[[Authentic], Awaitable[Answer]]


class Verifier(Protocol):
    """Decides whether a request is authentic."""

    def claims(self, headers: Mapping[str, str]) -> bool:
        """Does it carry a signature at all? One without is refused before its body is read."""
        ...

    def check(self, request: Raw) -> None:
        """Raises `Forged`."""
        ...

    def identity(self, request: Raw) -> bytes:
        """What is the same in a request and in all its replays, of one that passed `check`."""
        ...


def form_fields(body: bytes) -> list[tuple[str, str]]:
    """Decoded once, from the very bytes that were signed; raises `ValueError` for what is no form."""
    return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
