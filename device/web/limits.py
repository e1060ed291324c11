"""Owns the limits on strangers: how often one is refused, how much is read from one, and how many files are open.

What is limited is refusals, never authentic requests: nothing authentic may be lost because somebody else is a
nuisance. So a source over its limit is still heard if it brings a signature: Vapi and Twilio send for all their
customers from the same addresses, a tunnel on this device brings everybody from 127.0.0.1, and one bucket for all of
these would let anybody shut the honest out. What such a source gets is 429 for everything that does not prove itself,
without its body being read when it carries no signature at all, and the end of its connection. Reading is bounded by
size and time.

A peer's address is never authority: it chooses the bucket, and nothing else.
"""

from __future__ import annotations

import contextlib
import ipaddress
import resource
from collections import OrderedDict
from collections.abc import Callable

MOST_SOURCES = 1024
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refusals:
    """A bucket of tokens for each source; a refusal costs one. Full buckets need not be remembered."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._most = float(per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def over(self, source: str) -> bool:
        """Has it been refused too often?"""
        return self._left(source) < 1.0

    def count(self, source: str) -> None:
        """It was refused."""
        self._buckets[source] = (max(0.0, self._left(source) - 1.0), self._clock())
        self._buckets.move_to_end(source)
        if len(self._buckets) > MOST_SOURCES:
            self._buckets.popitem(last=False)  # The one that has been quiet longest.

    def _left(self, source: str) -> float:
        tokens, at = self._buckets.get(source, (self._most, 0.0))
        return min(self._most, tokens + (self._clock() - at) * self._most / 60.0)


class Sources:
    """Whose request it is, for the limit alone. X-Forwarded-For is believed from `trusted_proxies` and nobody else."""

    def __init__(self, trusted_proxies: tuple[str, ...]) -> None:
        """Addresses or networks; raises `ValueError` for what is neither."""
        self._trusted = [ipaddress.ip_network(proxy, strict=False) for proxy in trusted_proxies]

    def of(self, peer: str, forwarded: str) -> str:
        source = _address(peer)
        if source is None:
            return peer
        for hop in reversed(forwarded.split(",")):
            # Left of a proxy that is not trusted stands what anybody may have written.
            if not self._is_trusted(source) or (before := _address(hop)) is None:
                break
            source = before
        # Of IPv6 the /64: one customer has all of it.
        return str(ipaddress.ip_network((source, 64), strict=False)) if source.version == 6 else str(source)

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def raise_file_limit() -> int:
    """As many open files as the system allows this process; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
