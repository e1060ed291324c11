"""The appliance without ears, behind its public port: what the tests of the whole contract stand on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from device.app import House, build
from device.config import Config
from device.functions.sqlite_store import NAME, SqliteStore
from device.functions.store import RecordedCall
from device.secrets import Secrets
from device.settings import HmacSection, Scheme
from device.web.assembly import Web, WebParts, build_web
from device.webhook_sign import sign_vapi

SECRET = "whsec-demo"
VAPI = "/webhook/vapi"
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALWAYS_OPEN = "[book.hours]\n" + "".join(f'{day} = "00:00-24:00"\n' for day in WEEK)


def configure(folder: Path, text: str = "") -> Path:
    """A configuration file with everything below the folder; the book is always open."""
    file = folder / "wakeline.toml"
    file.write_text(
        f'timezone = "UTC"\n[paths]\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        f"[web]\nport = 0\nprivate_port = 0\n{ALWAYS_OPEN}{text}"
    )
    return file


def recorded(folder: Path) -> list[RecordedCall]:
    """Every function call in the store, oldest first."""
    store = SqliteStore(folder / "state" / NAME)
    try:
        with store.reading() as reading:
            return list(reversed(reading.function_calls()))
    finally:
        store.close()


@dataclass(frozen=True)
class Door:
    """The public port, for somebody who knows the secret."""

    http: httpx.AsyncClient
    house: House
    web: Web
    secret: str = SECRET

    async def post(self, message: Mapping[str, Any], *, call: str = "c-1", scheme: Scheme = "hmac") -> httpx.Response:
        """A message in Vapi's envelope; what was answered."""
        about = {"call": {"id": call}} if call else {}
        return await self.raw(json.dumps({"message": {**about, **message}}).encode(), scheme=scheme)

    async def raw(self, body: bytes, *, scheme: Scheme = "hmac") -> httpx.Response:
        headers = sign_vapi(body, self.secret, scheme, HmacSection(), datetime.now(UTC))
        return await self.http.post(VAPI, content=body, headers=headers)

    async def tool(
        self, name: str, arguments: Mapping[str, Any], id: str = "t-1", *, call: str = "c-1", control: str = ""
    ) -> dict[str, Any]:
        """The one result of one tool call."""
        wish = {"id": id, "type": "function", "function": {"name": name, "arguments": dict(arguments)}}
        about = {"call": {"id": call, "monitor": {"controlUrl": control}}} if control else {}
        answer = await self.post({"type": "tool-calls", "toolCallList": [wish], **about}, call=call)
        assert answer.status_code == 200, answer.text
        (result,) = answer.json()["results"]
        assert result["toolCallId"] == id
        return dict(result)


@asynccontextmanager
async def opened(
    config: Config, environ: Mapping[str, str] | None = None, *, secrets: Secrets | None = None
) -> AsyncIterator[Door]:
    """As `wakeline run` puts it together, without ears; late results of calls are told."""
    given = {"VAPI_SERVER_SECRET": SECRET, **(environ or {})}
    secrets = secrets or Secrets(given, config.paths.state_dir / "none")
    house = build(config, secrets)
    web = build_web(
        config, secrets, WebParts(house.store, house.runner, house.registry, house.clock, house.trusted, _yes)
    )
    assert web is not None
    await web.start()
    assert web.public is not None

    async def tell() -> None:
        async for late in house.runner.late():
            web.tell(late)

    telling = asyncio.create_task(tell())
    await house.runner.resume()
    try:
        base = f"http://127.0.0.1:{web.public.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=20) as http:
            yield Door(http, house, web)
    finally:
        telling.cancel()
        await web.stop()
        await web.close()
        await house.close()


def _yes() -> bool:
    return True
