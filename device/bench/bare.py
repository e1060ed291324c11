"""What the machine can do at best: the same server, the same signature over the same bytes, and nothing else.

python -m device.bench.bare --port PORT
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from device.bench.sender import PATH


def application(secret: bytes) -> Starlette:
    """Verifies Vapi's HMAC and answers {}."""

    async def answer(request: Request) -> Response:
        body = await request.body()
        signed = request.headers.get("x-timestamp", "").encode() + b"." + body
        expected = hmac.new(secret, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("x-signature", "")):
            return Response(b"{}", 401)
        return Response(b"{}", media_type="application/json")

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


def main(arguments: Sequence[str] | None = None) -> int:
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m device.bench.bare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    settings: dict[str, Any] = {"http": "httptools", "loop": "asyncio", "log_level": "warning", "access_log": False}
    app = application(os.environ["VAPI_SERVER_SECRET"].encode())
    uvicorn.run(app, host="127.0.0.1", port=options.port, lifespan="off", **settings)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
