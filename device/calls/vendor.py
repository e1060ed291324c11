"""What vendors' HTTP interfaces have in common: what a status means, what may be logged, what can be dialled."""

from __future__ import annotations

import re

from device.calls.link import CallRequest, LinkError, LinkNotReady, LinkRefused, LinkUncertain

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_LONG_NUMBER = re.compile(r"\+?\d[\d\s().-]{5,}\d")
_GATEWAY = frozenset({502, 504, 520, 521, 522, 523, 524, 525, 526, 527})
"""A gateway speaks for somebody who did not answer it: the vendor behind it may have placed the call."""


def masked(text: str, longest: int = 200) -> str:
    """A vendor's words for the log: on one line, short, without telephone numbers."""
    return _LONG_NUMBER.sub("<number>", " ".join(text.split()))[:longest]


def error_of(vendor: str, status: int, said: str = "") -> LinkError:
    """The error that an HTTP status other than success stands for."""
    message = f"{vendor} answered {status}" + (f": {masked(said)}" if said else "")
    if status in _GATEWAY:
        return LinkUncertain(message)
    if 400 <= status < 500:
        return LinkRefused(message, status)
    return LinkError(message)


def require(vendor: str, **settings: str) -> None:
    """Raise `LinkNotReady` that names what to set."""
    missing = [name for name, value in settings.items() if not value]
    if missing:
        raise LinkNotReady(f"{vendor} is not set up: set {', '.join(missing)}")


def dialable(request: CallRequest) -> str:
    """The address to dial: a number in E.164 form or a SIP address."""
    address = request.destination.address.strip()
    if address.startswith(("sip:", "sips:")) or _E164.fullmatch(address):
        return address
    where = request.destination.name
    raise LinkNotReady(f"destination {where!r} has no number to call: set its address in the form +12025550143")
