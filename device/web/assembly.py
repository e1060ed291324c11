"""Composition of the web part: which routes there are, on which port, and how it starts and ends.

Without a secret of a provider its webhooks do not exist; without any the public port stays closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.routing import Route

from device.calls.assistant import build_assistant
from device.config import Config, ConfigError
from device.functions.commits import committed
from device.functions.contract import LateResult, StoreFailed
from device.functions.registry import Registry
from device.functions.runner import Runner
from device.functions.store import Store
from device.secrets import Secrets
from device.web.door import Door
from device.web.limits import raise_file_limit
from device.web.metrics import exposition
from device.web.private import Ready, health_route, private_app, router, web_token
from device.web.results import Tokens, result_route
from device.web.server import Listener
from device.web.sessions import Sessions
from device.web.signatures import TwilioVerifier, VapiVerifier, split_secrets
from device.web.twilio import FALLBACK, STATUS, VOICE, TwilioEndpoint
from device.web.vapi import VapiEndpoint

log = logging.getLogger("wakeline.web")

VAPI = "/webhook/vapi"
PRIVATE_HOST = "127.0.0.1"
_TIDY_S = 60.0


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the web part stands on."""

    store: Store
    runner: Runner
    registry: Registry
    clock: Callable[[], datetime]
    trusted: Callable[[], bool]
    """Whether the clock can be trusted."""
    hears: Callable[[], bool]
    """Whether the ears have an open microphone."""


class Web:
    """The web part; `serve` it, or `start` and `stop` it."""

    def __init__(
        self,
        door: Door,
        vapi: VapiEndpoint | None,
        twilio: TwilioEndpoint | None,
        public: Listener | None,
        private: Listener,
    ) -> None:
        self.door = door
        self.vapi = vapi
        self.public = public
        """None while there is no secret."""
        self.private = private
        self._twilio = twilio

    async def serve(self) -> None:
        """Both ports, until cancelled; running requests end before it returns. A port that is taken is waited for."""
        raise_file_limit()
        async with asyncio.TaskGroup() as group:
            for listener in self._listeners():
                group.create_task(listener.keep())
            group.create_task(self._tidy())

    async def start(self) -> None:
        """Raises `PortTaken`."""
        raise_file_limit()
        for listener in self._listeners():
            await listener.start()

    async def stop(self) -> None:
        for listener in self._listeners():
            await listener.stop()

    async def close(self) -> None:
        """After `serve` or `stop`: what is being told to calls is given up; it waits in the store."""
        if self.vapi is not None:
            await self.vapi.close()
        if self._twilio is not None:
            await self._twilio.aclose()

    def tell(self, late: LateResult) -> None:
        """A result that came after "still working", for a phone call."""
        if self.vapi is not None:
            self.vapi.late.accept(late)

    def status(self) -> Mapping[str, object]:
        """For `wakeline status`: what came since the start, in numbers."""
        counts = self.door.counts()
        return {
            "web_port": self.public.port if self.public is not None else None,
            "webhooks_seen": counts.seen,
            "webhooks_refused": sum(counts.refused.values()),
            "webhooks_replayed": counts.replayed,
        }

    def _listeners(self) -> list[Listener]:
        return [self.private] if self.public is None else [self.public, self.private]

    async def _tidy(self) -> None:
        """Calls that are over, and nobody has told us."""
        endpoints = [endpoint for endpoint in (self.vapi, self._twilio) if endpoint is not None]
        while endpoints:
            try:
                for endpoint in endpoints:
                    await endpoint.tidy()
            except StoreFailed as failure:
                log.error("calls that are over cannot be closed: %s", failure.code)
            await asyncio.sleep(_TIDY_S)


def build_web(config: Config, secrets: Secrets, parts: WebParts) -> Web | None:
    """None when it is switched off.

    Raises:
        ConfigError: a setting of it cannot be used.
        OSError: the state folder cannot keep its tokens.
    """
    if not config.web.enabled:
        return None
    web = config.web
    sessions = Sessions(ttl_s=web.session_ttl_s, longest_s=config.assistant.longest_s)
    try:
        door = Door(web, parts.store)
    except ValueError as error:
        raise ConfigError("config-invalid", f"web.trusted_proxies: {error}") from None
    vapi, vapi_routes = _vapi(config, secrets, parts, sessions, door)
    twilio, twilio_routes = _twilio(config, secrets, parts, door)
    began = time.monotonic()

    def health() -> Mapping[str, object]:
        return {"status": "ok", "activeCalls": sessions.active, "uptimeSeconds": round(time.monotonic() - began)}

    public = None
    if vapi_routes or twilio_routes:
        app = router([health_route(health), *vapi_routes, *twilio_routes])
        public = Listener("public port", app, web.host, public_port(config, secrets), slow_s=web.slow_s)
    else:
        log.info("webhooks are closed: no secret is set")
    inside = private_app(
        web_token(config.paths.state_dir), health, _ready(parts), _metrics(door, vapi, sessions, began)
    )
    private = Listener("private port", inside, PRIVATE_HOST, web.private_port, slow_s=web.slow_s)
    return Web(door, vapi, twilio, public, private)


def public_port(config: Config, secrets: Secrets) -> int:
    """PORT wins over the configuration; raises `ConfigError`."""
    given = secrets.get("PORT")
    if not given:
        return config.web.port
    if not (given.isascii() and given.isdecimal() and len(given) <= 5 and int(given) <= 65535):
        raise ConfigError("config-invalid", "PORT: not a number from 0 to 65535")
    return int(given)


def _vapi(
    config: Config, secrets: Secrets, parts: WebParts, sessions: Sessions, door: Door
) -> tuple[VapiEndpoint | None, list[Route]]:
    given = split_secrets(secrets.get("VAPI_SERVER_SECRET"), secrets.get("VAPI_WEBHOOK_SECRET"))
    if not given:
        return None, []
    tokens = Tokens.load(config.paths.state_dir)
    endpoint = VapiEndpoint(
        parts.runner,
        parts.store,
        parts.registry,
        config,
        sessions,
        parts.clock,
        assistant=lambda: build_assistant(config, parts.registry, secret=given[0]),
        assistant_id=secrets.get("VAPI_ASSISTANT_ID"),
        tokens=tokens,
    )
    verifier = VapiVerifier(config.web, given, parts.trusted)
    return endpoint, [door.route(VAPI, verifier, endpoint.handle), result_route(parts.runner, tokens)]


def _twilio(config: Config, secrets: Secrets, parts: WebParts, door: Door) -> tuple[TwilioEndpoint | None, list[Route]]:
    tokens = split_secrets(secrets.get("TWILIO_AUTH_TOKEN"))
    if not tokens:
        return None, []
    if not config.web.base_url:
        log.warning("Twilio's webhooks are closed: its signatures cannot be checked without web.base_url")
        return None, []
    endpoint = TwilioEndpoint(config, secrets, parts.store, parts.clock)
    verifier = TwilioVerifier(config.web.base_url, tokens)
    handlers = {VOICE: endpoint.voice, STATUS: endpoint.status, FALLBACK: endpoint.fallback}
    return endpoint, [door.route(path, verifier, handle) for path, handle in handlers.items()]


def _metrics(door: Door, vapi: VapiEndpoint | None, sessions: Sessions, began: float) -> Callable[[], str]:
    def metrics() -> str:
        counts = door.counts()
        return exposition(
            seen=counts.seen,
            handled=counts.handled,
            replayed=counts.replayed,
            refused=counts.refused,
            messages=vapi.counts if vapi is not None else {},
            active_calls=sessions.active,
            uptime_s=round(time.monotonic() - began),
        )

    return metrics


def _ready(parts: WebParts) -> Ready:
    async def ready() -> Mapping[str, bool]:
        return {"store": await _writable(parts.store), "ears": parts.hears()}

    return ready


async def _writable(store: Store) -> bool:
    try:
        await committed(store, lambda writing: None)
    except StoreFailed:
        return False
    return True
