"""Owns the proof that a request is authentic: on the raw bytes, in constant time, before anything is parsed.

Forged      code "signature-missing"    none of the accepted headers is there
            code "signature-wrong"      it does not fit, with any of the secrets
            code "signature-expired"    it fits, and its time is outside the window
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from urllib.parse import parse_qs, urlsplit, urlunsplit

from device.config import ConfigError
from device.settings import HmacSection, WebSection
from device.web.requests import Raw, form_fields

log = logging.getLogger("wakeline.web")

AHEAD_OF_A_WRONG_CLOCK_S = 86_400.0
"""While the clock is not set it is behind: what is new seems to come from the future. So far may it be ahead."""
_MILLISECONDS = 10**11
"""A Unix time above this is in milliseconds; in seconds it would be the year 5138."""
_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)
_PLACE = re.compile(r"\{(timestamp|body|method|url|message_id)\}")
_LEGACY_HEADER = "x-vapi-signature"


class Forged(Exception):
    """The request is not from whom it says, or cannot prove it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def split_secrets(*values: str) -> tuple[str, ...]:
    """Each value is one secret, or several with spaces between while they are rotated."""
    return tuple(dict.fromkeys(secret for value in values for secret in value.split()))


def same(given: str, expected: Iterable[str]) -> bool:
    """Is it one of these? All are compared, and as hashes: the time tells neither which, nor where, nor a length."""
    hashed = hashlib.sha256(_bytes(given)).digest()
    found = False
    for one in expected:
        found |= hmac.compare_digest(hashed, hashlib.sha256(one.encode()).digest())
    return found


class VapiVerifier:
    """The schemes by which Vapi signs; the first that fits is enough."""

    def __init__(self, web: WebSection, secrets: tuple[str, ...], trusted: Callable[[], bool]) -> None:
        """Raises `ConfigError` when the HMAC of the configuration could not protect anything."""
        if not secrets:
            raise ValueError("without a secret there is no endpoint")
        self._web = web
        self._secrets = secrets
        self._trusted = trusted
        self._said = False
        self._keys = _keys(web.hmac, secrets) if "hmac" in web.schemes else ()
        if "hmac" in web.schemes and "{body}" not in web.hmac.payload:
            raise ConfigError("config-invalid", "web.hmac.payload: without {body} it signs nothing of what is sent")
        if "{message_id}" in web.hmac.payload and not web.hmac.message_id_header:
            raise ConfigError("config-invalid", "web.hmac.message_id_header: needed for {message_id}")
        self._headers = {
            "hmac": web.hmac.header.lower(),
            "hmac-body": _LEGACY_HEADER,
            "bearer": "authorization",
            "x-vapi-secret": "x-vapi-secret",
        }

    def claims(self, headers: Mapping[str, str]) -> bool:
        return any(headers.get(self._headers[scheme]) for scheme in self._web.schemes)

    def check(self, request: Raw) -> None:
        codes = []
        for scheme in self._web.schemes:
            given = request.headers.get(self._headers[scheme], "")
            if not given:  # Vapi may send it empty: that is none, and never equal to a secret that is not set.
                continue
            code = self._fault(scheme, given, request)
            if not code:
                return
            codes.append(code)
        raise Forged("signature-missing" if not codes else max(codes, key=lambda code: code == "signature-expired"))

    def identity(self, request: Raw) -> bytes:
        return request.body

    def _fault(self, scheme: str, given: str, request: Raw) -> str:
        """Empty if the signature fits."""
        match scheme:
            case "hmac":
                return self._hmac_fault(given, request)
            case "hmac-body":
                # A text that begins otherwise may be what another scheme has signed: "{timestamp}.{body}".
                fits = request.body.lstrip().startswith(b"{") and same(
                    given.removeprefix("sha256="),
                    [hmac.digest(secret.encode(), request.body, "sha256").hex() for secret in self._secrets],
                )
            case "bearer":
                kind, _, token = given.partition(" ")
                fits = same(token.strip(), self._secrets) and kind.lower() == "bearer"
            case _:
                fits = same(given, self._secrets)
        return "" if fits else "signature-wrong"

    def _hmac_fault(self, given: str, request: Raw) -> str:
        section = self._web.hmac
        timestamp = request.headers.get(section.timestamp_header.lower(), "")
        parts = {
            "timestamp": _bytes(timestamp),
            "body": request.body,
            "method": request.method.encode(),
            "url": _bytes(_public_url(self._web.base_url, request)),
            "message_id": _bytes(request.headers.get(section.message_id_header.lower(), "")),
        }
        # Split at the places, so that what is filled in is never taken for a place itself.
        pieces = _PLACE.split(section.payload)
        payload = b"".join(parts[piece] if at % 2 else piece.encode() for at, piece in enumerate(pieces))
        wanted = [
            # `hmac.digest` would let other threads run meanwhile, and getting back costs more than the hash.
            section.prefix + _encoded(section, hmac.new(key, payload, section.algorithm).digest())
            for key in self._keys
        ]
        if not same(given, wanted):
            return "signature-wrong"
        if "{timestamp}" in section.payload and not self._timely(timestamp, request.now):
            return "signature-expired"
        return ""

    def _timely(self, timestamp: str, now: datetime) -> bool:
        if not _DIGITS.fullmatch(timestamp):
            return False
        at = int(timestamp)
        age = now.timestamp() - (at / 1000 if at >= _MILLISECONDS else at)
        if abs(age) <= self._web.window_s:
            return True
        if age > AHEAD_OF_A_WRONG_CLOCK_S or self._trusted():
            return False
        if not self._said:
            self._said = True
            log.warning("the clock is not set: until it is, signatures from its future are accepted")
        return True


class TwilioVerifier:
    """X-Twilio-Signature, by Twilio's own RequestValidator, for the configured URL: Host is the sender's choice."""

    def __init__(self, base_url: str, tokens: tuple[str, ...]) -> None:
        from twilio.request_validator import RequestValidator

        if not tokens or not base_url:
            raise ValueError("without a token and a URL there is no endpoint")
        self._base_url = base_url
        self._validators = [RequestValidator(token) for token in tokens]

    def claims(self, headers: Mapping[str, str]) -> bool:
        return bool(headers.get("x-twilio-signature"))

    def check(self, request: Raw) -> None:
        given = request.headers.get("x-twilio-signature", "")
        if not given:
            raise Forged("signature-missing")
        fields = _signed_fields(request)
        urls = _variants(_public_url(self._base_url, request), upgrade=_is_upgrade(request))
        wanted = [validator.compute_signature(url, fields) for validator in self._validators for url in urls]
        if not same(given, wanted):
            raise Forged("signature-wrong")

    def identity(self, request: Raw) -> bytes:
        """What was signed: a form with its fields in another order, or one of them twice, has the same signature."""
        fields = _signed_fields(request)
        text = "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
        return f"{request.query}\n{text}".encode()


class _Fields(dict[str, list[str]]):
    """As the validator wants a form with repeated fields."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def _signed_fields(request: Raw) -> _Fields:
    """The fields that the signature covers; raises `Forged` if it would not cover the body."""
    fields = _Fields()
    if not request.body:
        return fields
    if _is_upgrade(request):
        raise Forged("signature-wrong")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            for name, value in form_fields(request.body):
                fields.setdefault(name, []).append(value)
        except ValueError as error:
            raise Forged("signature-wrong") from error
        return fields
    sums = parse_qs(request.query).get("bodySHA256", [])
    if len(sums) != 1 or not same(sums[0], [hashlib.sha256(request.body).hexdigest()]):
        raise Forged("signature-wrong")
    return fields


def _is_upgrade(request: Raw) -> bool:
    return request.method == "GET" and request.headers.get("upgrade", "").lower() == "websocket"


def _public_url(base_url: str, request: Raw) -> str:
    return base_url.rstrip("/") + request.path + (f"?{request.query}" if request.query else "")


def _variants(url: str, *, upgrade: bool) -> list[str]:
    """Twilio signs with and without the port, and a WebSocket as wss, with and without a last slash."""
    parts = urlsplit(url)
    scheme = parts.scheme
    if upgrade:
        scheme = {"https": "wss", "http": "ws"}.get(scheme, scheme)
    if parts.port:
        hosts = [parts.netloc, parts.netloc.rpartition(":")[0]]
    else:
        hosts = [parts.netloc, f"{parts.netloc}:{443 if scheme in ('https', 'wss') else 80}"]
    paths = [parts.path]
    if upgrade:
        paths.append(parts.path.removesuffix("/") if parts.path.endswith("/") else f"{parts.path}/")
    return [urlunsplit((scheme, host, path, parts.query, "")) for host in hosts for path in paths]


def _keys(section: HmacSection, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    if not section.secret_is_base64:
        return tuple(secret.encode() for secret in secrets)
    try:
        return tuple(base64.b64decode(secret, validate=True) for secret in secrets)
    except (binascii.Error, ValueError):
        raise ConfigError("config-invalid", "web.hmac.secret_is_base64: a secret is not base64") from None


def _encoded(section: HmacSection, digest: bytes) -> str:
    return digest.hex() if section.encoding == "hex" else base64.b64encode(digest).decode()


def _bytes(value: str) -> bytes:
    """Header values are latin-1 text of the bytes that came; secrets are UTF-8, as they were written."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
