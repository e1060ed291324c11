"""Owns the private port: readiness for those who have the token of the state folder, on this device alone.

A page in a browser on this device must not reach it either, so Host and Origin are checked beside the token.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from device.web.door import Answer, read_headers, refusal, send_answer
from device.web.metrics import MEDIA_TYPE
from device.web.signatures import same

TOKEN_FILE = "web-token"
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})

Health = Callable[[], Mapping[str, object]]
"""What `/health` shows: nothing that a stranger may not know."""
Ready = Callable[[], Awaitable[Mapping[str, bool]]]
"""What must be true to be ready, by name."""


def web_token(folder: Path) -> str:
    """The token of the private port; made at the first start, for the owner of the folder alone."""
    path = folder / TOKEN_FILE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if token := path.read_text().strip():
            path.chmod(0o600)
            return token
    token = secrets.token_urlsafe(32)
    new = folder / f".{TOKEN_FILE}-{os.getpid()}"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return token


class Page:
    """A value as JSON, for GET; an ASGI application."""

    def __init__(self, show: Callable[[], Awaitable[tuple[int, Mapping[str, object]]]]) -> None:
        self._show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            answer = refusal(405, "method-not-allowed")
        else:
            status, value = await self._show()
            answer = Answer(status, json.dumps(value).encode(), headers={"cache-control": "no-store"})
        await send_answer(send, answer)


class Text:
    """A text for GET; an ASGI application."""

    def __init__(self, show: Callable[[], str], media_type: str) -> None:
        self._show = show
        self._media_type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            answer = refusal(405, "method-not-allowed")
        else:
            answer = Answer(200, self._show().encode(), self._media_type, headers={"cache-control": "no-store"})
        await send_answer(send, answer)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """For every path that is not served."""
    await send_answer(send, refusal(404, "not-found"))


def router(routes: list[Route]) -> Router:
    """These, and 404 for all else; nobody is redirected to what he says our name is."""
    return Router(routes, redirect_slashes=False, default=not_found)


def health_route(health: Health) -> Route:
    async def show() -> tuple[int, Mapping[str, object]]:
        return 200, health()

    return Route("/health", Page(show))


def private_app(token: str, health: Health, ready: Ready, metrics: Callable[[], str]) -> ASGIApp:
    """`/health`, `/ready` and `/metrics`."""

    async def readiness() -> tuple[int, Mapping[str, object]]:
        parts = await ready()
        good = all(parts.values())
        return 200 if good else 503, {"ready": good, **parts}

    routes = [health_route(health), Route("/ready", Page(readiness)), Route("/metrics", Text(metrics, MEDIA_TYPE))]
    return _Private(router(routes), token)


class _Private:
    """Lets in who has the token and asks this device by its own name."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = read_headers(scope)
        kind, _, token = headers.get("authorization", "").partition(" ")
        if not _is_here(f"//{headers.get('host', '')}") or not _is_here(headers.get("origin", "//127.0.0.1")):
            await send_answer(send, refusal(403, "not-from-here"))
        elif not same(token.strip(), [self._token]) or kind.lower() != "bearer":
            await send_answer(send, refusal(401, "token-wrong"))
        else:
            await self._app(scope, receive, send)


def _is_here(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _HERE
    except ValueError:
        return False
