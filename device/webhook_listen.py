"""`wakeline webhook listen`: prints what arrives, with the verdict on its signature. Runs and stores nothing."""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from device.config import Config, ConfigError
from device.secrets import Secrets
from device.trusted_clock import ClockTrust
from device.web import twiml
from device.web.assembly import public_port
from device.web.requests import Raw, Verifier
from device.web.signatures import Forged, TwilioVerifier, VapiVerifier, split_secrets
from device.web.twilio_form import FormInvalid, read_form

VAPI = "/webhook/vapi"
TWILIO = tuple(f"/webhook/twilio/{name}" for name in ("voice", "status", "fallback"))
_TELLING = ("x-signature", "x-timestamp", "x-vapi-signature", "x-vapi-secret", "authorization", "x-twilio-signature")
_NEEDS = {True: "set VAPI_SERVER_SECRET", False: "set TWILIO_AUTH_TOKEN and web.base_url"}
_SHOWN = ("CallSid", "CallStatus", "SequenceNumber", "Direction", "DialCallStatus", "ErrorCode")
_TEXT = 200


def listen(args: argparse.Namespace, config: Config) -> int:
    """Until Ctrl-C; returns the exit status."""
    secrets = Secrets()
    verifiers = verifiers_of(config, secrets)
    port = args.port if args.port is not None else public_port(config, secrets)
    if not 0 <= port <= 65535:
        raise ConfigError("webhook-port-invalid", f"{port} is no port: 0 to 65535")
    try:
        server = socket.create_server((config.web.host, port))
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(
            "webhook-port-taken", f"{config.web.host}:{port}: {why}; is the appliance running? --port takes another one"
        ) from None
    host, bound = server.getsockname()[:2]
    print(f"listening on http://{host}:{bound}; Ctrl-C ends it")
    for path, verifier in verifiers.items():
        print(f"  {path:26} {'checked' if verifier else 'refused: ' + _NEEDS[path == VAPI]}")
    print("Point a tunnel at this address, and the provider at the tunnel.", flush=True)
    listener = Listener(verifiers, config.web.body_limit, text=args.text)
    # No log of its own: it would print addresses beside our lines.
    web = uvicorn.Server(uvicorn.Config(listener.app(), log_config=None, access_log=False, timeout_keep_alive=5))
    with contextlib.suppress(KeyboardInterrupt):
        web.run(sockets=[server])
    print(f"{listener.authentic} authentic, {listener.refused} refused")
    return 0


def verifiers_of(config: Config, secrets: Secrets) -> dict[str, Verifier | None]:
    """By path; None where nothing can be checked, because something is not set."""
    vapi = split_secrets(secrets.get("VAPI_SERVER_SECRET"), secrets.get("VAPI_WEBHOOK_SECRET"))
    tokens = split_secrets(secrets.get("TWILIO_AUTH_TOKEN"))
    ready = tokens and config.web.base_url
    twilio = TwilioVerifier(config.web.base_url, tokens) if ready else None
    found: dict[str, Verifier | None] = dict.fromkeys(TWILIO, twilio)
    found[VAPI] = VapiVerifier(config.web, vapi, ClockTrust(lambda: datetime.now(UTC))) if vapi else None
    return found


class Listener:
    """Checks, prints, and gives the shortest answer that the provider takes."""

    def __init__(self, verifiers: Mapping[str, Verifier | None], body_limit: int, *, text: bool) -> None:
        self._verifiers = verifiers
        self._limit = body_limit
        self._text = text
        self.authentic = 0
        self.refused = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._take, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])])

    async def _take(self, request: Request) -> Response:
        path = request.url.path
        body = await self._body(request)
        if body is None:
            return self._refuse(path, "too-large", 413)
        if path not in self._verifiers:
            return self._refuse(path, "no such webhook", 404)
        verifier = self._verifiers[path]
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if verifier is None:
            return self._refuse(path, _NEEDS[path == VAPI], 401)
        raw = Raw(request.method, path, request.url.query, headers, body, datetime.now(UTC))
        try:
            verifier.check(raw)
        except Forged as error:
            came = ", ".join(name for name in _TELLING if name in headers) or "no header that signs"
            return self._refuse(path, f"{error.code}; came with {came}", 401)
        self.authentic += 1
        self._print("ok", path, describe(path, body, text=self._text) + f"  ({len(body)} bytes)")
        return answer(path, body)

    async def _body(self, request: Request) -> bytes | None:
        body = bytearray()
        with contextlib.suppress(ClientDisconnect):
            async for part in request.stream():
                body += part
                if len(body) > self._limit:
                    return None
        return bytes(body)

    def _refuse(self, path: str, why: str, status: int) -> Response:
        self.refused += 1
        self._print("REFUSED", path, why)
        return Response(status_code=status)

    @staticmethod
    def _print(verdict: str, path: str, what: str) -> None:
        print(f"{datetime.now():%H:%M:%S} {verdict:7} {_clean(path):24} {what}", flush=True)


def describe(path: str, body: bytes, *, text: bool) -> str:
    """Type and ids of an authentic request; what people say only if wanted."""
    if path != VAPI:
        return _describe_form(body)
    try:
        message = json.loads(body)["message"]
        kind, call = message["type"], message.get("call") or {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "not a message of Vapi: no JSON with message.type"
    parts = [_clean(kind)]
    if isinstance(call, dict) and call.get("id"):
        parts.append(f"call={_clean(call['id'])}")
    parts += [f"{name}={_clean(message[name])}" for name in ("status", "role", "endedReason") if message.get(name)]
    for id, name in tool_calls(message):
        parts.append(f"{_clean(name)}({_clean(id)})")
    if text and isinstance(message.get("transcript"), str):
        parts.append(repr(_clean(message["transcript"])))
    return " ".join(parts)


def _describe_form(body: bytes) -> str:
    try:
        fields = dict(read_form(body))
    except FormInvalid as error:
        return f"{error.code}: {error}"
    return " ".join(f"{name}={_clean(fields[name])}" for name in _SHOWN if fields.get(name)) or "a form without a call"


def tool_calls(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Id and name of each, in whichever container they are."""
    found = message.get("toolCallList") or message.get("toolCalls")
    if not isinstance(found, list):
        wrapped = message.get("toolWithToolCallList")
        found = (
            [each.get("toolCall") for each in wrapped if isinstance(each, dict)] if isinstance(wrapped, list) else []
        )
    calls = []
    for call in found:
        if isinstance(call, dict):
            function = call.get("function")
            name = function.get("name") if isinstance(function, dict) else call.get("name")
            calls.append((str(call.get("id", "")), str(name or "")))
    return calls


def answer(path: str, body: bytes) -> Response:
    """What the provider takes without complaint."""
    if path != VAPI:
        if path.endswith("/status"):
            return Response(status_code=204)
        return Response(twiml.say("This is a test of the webhook."), media_type="text/xml")
    try:
        message = json.loads(body)["message"]
        told = [{"toolCallId": id, "name": name, "error": "Only listening."} for id, name in tool_calls(message)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Response(status_code=400)
    return Response(json.dumps({"results": told} if told else {}), media_type="application/json")


def _clean(value: object) -> str:
    """On one line, short, nothing that moves a terminal's cursor."""
    return "".join(each if each.isprintable() else "?" for each in str(value))[:_TEXT]
