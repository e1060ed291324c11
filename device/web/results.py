"""Polling a function's result: owns the token of a call and the public route GET /calls/{call}/results/{id}."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from device.functions.contract import FunctionResult, StillWorking, StoreFailed

PATH = "/calls/{call}/results/{id:path}"
_KEY = "poll.key"
_BYTES = 32
_LONGEST = 200
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class Lookup(Protocol):
    """The part of the runner that is needed here."""

    async def look_up(self, id: str) -> FunctionResult | None: ...


class Tokens:
    """A token for each call: whoever has it may read that call's results, and nothing else."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def load(cls, state_dir: Path) -> Tokens:
        """With the key in the state folder; made on the first use, readable by this user alone."""
        path = state_dir / _KEY
        try:
            return cls(_read(path))
        except FileNotFoundError:
            state_dir.mkdir(parents=True, exist_ok=True)
        fresh = state_dir / f".{_KEY}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)  # whole or not at all, and the first one wins
        finally:
            fresh.unlink(missing_ok=True)
        return cls(_read(path))

    def token(self, call: str) -> str:
        return hmac.new(self._key, f"poll:{call}".encode(), hashlib.sha256).hexdigest()

    def fits(self, call: str, token: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(self.token(call).encode(), token.encode("utf-8", "replace"))


def poll_path(call: str, id: str) -> str:
    """Where the result of a tool call of a call can be polled."""
    return f"/calls/{quote(call, safe='')}/results/{quote(id, safe='')}"


def result_route(runner: Lookup, tokens: Tokens) -> Route:
    """For the public port."""

    async def poll(request: Request) -> Response:
        call, id = request.path_params["call"], request.path_params["id"]
        if len(call) > _LONGEST or not tokens.fits(call, _token(request)):
            return _json(401, {"error": "token-invalid"})
        return _answer(await runner.look_up(f"vapi:{call}:{id}"))

    return Route(PATH, poll, methods=["GET"])


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.query_params.get("token", "")


def _answer(result: FunctionResult | None) -> Response:
    if result is None:
        return _json(404, {"error": "result-unknown"})
    if isinstance(result.error, StoreFailed):
        return _json(503, {"error": result.error.code})
    if isinstance(result.error, StillWorking):
        return _json(202, {"state": "working", "sentence": result.error.sentence})
    if result.error is not None:
        error = {"code": result.error.code, "sentence": result.sentence or result.error.sentence}
        return _json(200, {"state": "done", "error": error})
    return _json(200, {"state": "done", "result": dict(result.value or {}), "sentence": result.sentence})


def _json(status: int, value: dict[str, Any]) -> Response:
    headers = _HEADERS | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return JSONResponse(value, status, headers)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _BYTES:
        raise OSError(f"{path} is damaged: remove it, and a new one is made")
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return key
