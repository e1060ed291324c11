"""Signs as the providers do: for `wakeline webhook test`, load generators and tests. Checking is in device/web."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from device.settings import HmacSection, Scheme

_PLACE = re.compile(rb"\{(timestamp|body|method|url|message_id)\}")


def sign_vapi(
    body: bytes,
    secret: str,
    scheme: Scheme,
    settings: HmacSection,
    now: datetime,
    *,
    method: str = "POST",
    url: str = "",
    message_id: str = "",
) -> dict[str, str]:
    """The headers that Vapi adds to this body; `now` is aware, `url` and `message_id` matter where they are signed."""
    if scheme == "bearer":
        return {"authorization": f"Bearer {secret}"}
    if scheme == "x-vapi-secret":
        return {"x-vapi-secret": secret}
    if scheme == "hmac-body":
        return {"x-vapi-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
    stamp = str(round(now.timestamp() * 1000))
    parts = {
        b"timestamp": stamp.encode(),
        b"body": body,
        b"method": method.encode(),
        b"url": url.encode(),
        b"message_id": message_id.encode(),
    }
    # One pass: what looks like a placeholder inside the body stays as it is.
    signed = _PLACE.sub(lambda place: parts[place[1]], settings.payload.encode())
    headers = {settings.header: _hmac(signed, secret, settings)}
    if "{timestamp}" in settings.payload:
        headers[settings.timestamp_header] = stamp
    if settings.message_id_header and message_id:
        headers[settings.message_id_header] = message_id
    return headers


def _hmac(signed: bytes, secret: str, settings: HmacSection) -> str:
    key = base64.b64decode(secret) if settings.secret_is_base64 else secret.encode()
    digest = hmac.new(key, signed, settings.algorithm).digest()
    return settings.prefix + (digest.hex() if settings.encoding == "hex" else base64.b64encode(digest).decode())


def sign_twilio(url: str, params: Iterable[tuple[str, str]] | Mapping[str, str], token: str) -> dict[str, str]:
    """The header that Twilio adds: of the full URL and the sorted form; no params for JSON and WebSocket upgrades."""
    pairs = params.items() if isinstance(params, Mapping) else params
    signed = url + "".join(name + value for name, value in sorted(set(pairs)))
    digest = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
    return {"x-twilio-signature": base64.b64encode(digest).decode()}


def twilio_json_url(url: str, body: bytes) -> str:
    """The URL to which Twilio sends a JSON body: its hash is in the query, and the URL is what is signed."""
    return f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
