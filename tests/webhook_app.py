"""The application behind the public port, in this process and without sockets: what the server calls."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from device.bench.serve import composed
from device.bench.servers import make_place
from device.config import load_config
from device.secrets import Secrets


@dataclass(frozen=True, slots=True)
class WebApp:
    """Ask `public`."""

    public: Callable[..., Awaitable[None]]


@contextlib.asynccontextmanager
async def web_app(folder: Path, secret: str) -> AsyncIterator[WebApp]:
    """In that folder, with that secret of Vapi's; nobody is turned away for too many refusals."""
    if not (folder / "wakeline.toml").exists():
        make_place(folder)
    config = load_config(folder / "wakeline.toml")
    web = config.web.model_copy(update={"refused_per_minute": 10**9})
    config = config.model_copy(update={"web": web})
    async with composed(config, Secrets({"VAPI_SERVER_SECRET": secret}, folder / "none")) as served:
        assert served.web.public is not None
        yield WebApp(served.web.public._app)
