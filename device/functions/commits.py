"""Waiting in the loop for the store's writer: many changes that are committed together wake the loop once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from device.functions.store import Store, Writing
from device.functions.threads import Inbox, settle_by

T = TypeVar("T")
_inboxes: dict[asyncio.AbstractEventLoop, Inbox] = {}


def inbox() -> Inbox:
    """The one of the running loop."""
    loop = asyncio.get_running_loop()
    found = _inboxes.get(loop)
    if found is None:
        for old in [other for other in _inboxes if other.is_closed()]:
            del _inboxes[old]
        found = _inboxes[loop] = Inbox(loop)
    return found


async def committed(store: Store, change: Callable[[Writing], T], *, urgent: bool = False) -> T:
    """Its value, once it is committed; raises what it raised, or `StoreFailed`."""
    news = inbox()
    end: asyncio.Future[T] = news.loop.create_future()
    future = store.submit(change, urgent=urgent)
    future.add_done_callback(lambda ended: news.post(lambda: settle_by(end, ended)))
    return await end
