"""Owns the attacks that `wakeline webhook test` tries: forgeries, replays, and bodies that should not get far."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import urlencode

from device.webhook_samples import VAPI, Check, Provider, Shot, Signer, tool_call, twilio_shots, vapi_body, voice_form

REFUSED = (401, 403)
_OTHER = "not-the-secret-of-this-server"
_VOICE = "/webhook/twilio/voice"
_JSON = {"content-type": "application/json"}
_FORM = {"content-type": "application/x-www-form-urlencoded"}


def vapi_attacks(sign: Signer) -> list[Shot]:
    """All against the Vapi endpoint; the first is authentic and is repeated after them."""
    body = vapi_body(sign, {"type": "tool-calls", "toolCallList": [tool_call(sign, "replay")]}, call=f"r-{sign.run}")
    authentic = sign.vapi(body)
    shots = [_shot("vapi", "before the attacks", body, authentic, (200,), "authentic: runs once", Check.RESULTS)]
    rows: list[tuple[str, Mapping[str, str], str]] = [
        ("no signature", _JSON, "nothing is believed without one"),
        ("other secret", sign.vapi(body, secret=_OTHER), "the secret decides"),
        ("signature of another body", sign.vapi(body + b" "), "every byte is signed"),
        ("body changed", sign.vapi(body.replace(b"replay_", b"played_")), "every byte is signed"),
    ]
    if sign.scheme in ("hmac", "hmac-body"):
        # A scheme without a signature knows no other body: there is nothing to forge but the secret.
        rows += _signature_variants(sign, body)
    else:
        rows = [row for row in rows if "body" not in row[0]]
    if sign.scheme == "hmac" and "{timestamp}" in sign.settings.payload:
        rows += _time_variants(sign, body)
    rows += _other_schemes(body)
    rows.append(
        ("forwarded for 127.0.0.1", _JSON | {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1"},
         "a header of a proxy opens nothing"),
    )  # fmt: skip
    shots += [_shot("vapi", name, body, headers, REFUSED, proves) for name, headers, proves in rows]
    shots += [
        _shot("vapi", "replay", body, authentic, (200,), "answered from the record", Check.SAME, again=shots[0].name),
        _shot("vapi", "retry, signed anew", body, sign.vapi(body, ago=timedelta(seconds=-1)), (200,),
              "answered from the record", Check.SAME, again=shots[0].name),
    ]  # fmt: skip
    return shots + _bad_bodies(sign)


def _signature_variants(sign: Signer, body: bytes) -> list[tuple[str, Mapping[str, str], str]]:
    header = sign.settings.header if sign.scheme == "hmac" else "x-vapi-signature"
    right = sign.vapi(body)
    signature = right[header]
    bare = signature.removeprefix(sign.settings.prefix)
    digest = bytes.fromhex(bare) if _is_hex(bare) else base64.b64decode(bare)
    recoded = base64.b64encode(digest).decode() if _is_hex(bare) else digest.hex()
    without_key = hmac.new(b"", body, hashlib.sha256).hexdigest()
    variants = {
        "empty signature": ("", "an empty one is none"),
        "zeros": ("0" * len(bare), "a guess of the right length"),
        "truncated": (signature[: len(signature) // 2], "half a signature is none"),
        "one bit off": (signature[:-1] + ("0" if signature[-1] != "0" else "1"), "all of it is compared"),
        "with a tail": (signature + "00", "nothing may follow"),
        "two in one header": (f"{'0' * len(bare)},{signature}", "no list is searched for a right one"),
        "prefix of another kind": (f"md5={bare}", "the prefix is the configured one"),
        "another encoding": (recoded, "the encoding is the configured one"),
        "no key": (without_key, "an empty key signs nothing"),
        "plain hash": (hashlib.sha256(body).hexdigest(), "a hash is no signature"),
        "not ascii": ("\u00e9" * 8, "answered, not stumbled over"),
    }
    return [(name, right | {header: value}, proves) for name, (value, proves) in variants.items()]


def _time_variants(sign: Signer, body: bytes) -> list[tuple[str, Mapping[str, str], str]]:
    # Far outside, since a server whose clock cannot be trusted yet allows more.
    far = timedelta(days=2) + timedelta(seconds=sign.window_s)
    header = sign.settings.timestamp_header
    right = sign.vapi(body)
    stamp = right[header]
    missing = {name: value for name, value in right.items() if name != header}
    return [
        ("old", sign.vapi(body, ago=far), "an old signature has expired"),
        ("from the future", sign.vapi(body, ago=-far), "... and one of the future does not count yet"),
        ("time changed", right | {header: str(int(stamp) + 1)}, "the time is signed"),
        ("time in another form", right | {header: f"{stamp}.0"}, "the time is signed as text"),
        ("no time", missing, "without the time there is no signature"),
        ("time is no number", right | {header: "now"}, "answered, not stumbled over"),
        ("time without end", right | {header: "9" * 400}, "answered, not stumbled over"),
        ("negative time", right | {header: f"-{stamp}"}, "answered, not stumbled over"),
    ]


def _other_schemes(body: bytes) -> list[tuple[str, Mapping[str, str], str]]:
    lone = hmac.new(_OTHER.encode(), body, hashlib.sha256).hexdigest()
    return [
        ("bearer: empty", _JSON | {"authorization": "Bearer"}, "empty is absent"),
        ("bearer: other", _JSON | {"authorization": f"Bearer {_OTHER}"}, "the secret decides"),
        ("x-vapi-secret: empty", _JSON | {"x-vapi-secret": ""}, "empty is absent, as Vapi may send it"),
        ("x-vapi-secret: other", _JSON | {"x-vapi-secret": _OTHER}, "the secret decides"),
        ("x-vapi-signature: other", _JSON | {"x-vapi-signature": lone}, "the secret decides"),
    ]


def _bad_bodies(sign: Signer) -> list[Shot]:
    deep = b'{"message":' + b"[" * 5000 + b"]" * 5000 + b"}"
    bodies = {
        "malformed": (b'{"message":{"type":"tool-calls"', "JSON that breaks off"),
        "empty": (b"", "nothing at all"),
        "a list": (b"[]", "JSON of another shape"),
        "not utf-8": (b'{"message":{"type":"\xff\xfe"}}', "bytes that are no text"),
        "deep": (deep, "nested without end"),
    }
    # A bare body may be another scheme's text: where only bodies are signed, what is no object may count as forged.
    told = (400, 422) if sign.scheme != "hmac-body" else (400, 422, *REFUSED)
    shots = [
        _shot("vapi", f"body: {name}", body, sign.vapi(body), told, f"{proves}: told, no traceback")
        for name, (body, proves) in bodies.items()
    ]
    large = b'{"message":{"type":"hang","filler":"' + b"x" * sign.body_limit + b'"}}'
    shots.append(_shot("vapi", "body: oversize", large, sign.vapi(large), (413,), "refused before it is read"))
    shots.append(_shot("vapi", "get", b"", {}, (405,), "only what is served", method="GET"))
    return shots


def slow_shot(provider: Provider) -> Shot:
    """A body that comes by drops."""
    path, headers = (VAPI, _JSON) if provider == "vapi" else (_VOICE, _FORM)
    return Shot(
        provider, "slow body", path, b"", tuple(headers.items()), (400, 408), "the server ends it", slow=True
    )  # fmt: skip


def twilio_attacks(sign: Signer) -> list[Shot]:
    """All against the voice webhook; the authentic one is repeated after them."""
    form = voice_form(sign)
    form["CallSid"] = form["CallSid"].replace("CA0", "CA9", 1)
    right = sign.twilio(_VOICE, form)
    body = urlencode(form).encode()
    elsewhere = {"x-forwarded-host": "evil.example.org", "x-forwarded-proto": "https", "x-original-url": "/voice"}
    evil = sign.twilio(_VOICE, form, token=_OTHER, url="https://evil.example.org" + _VOICE)
    more = urlencode(form | {"To": "+12025559999"}).encode()
    as_json = json.dumps(form).encode()
    first = _shot("twilio", "before the attacks", body, right, (200,), "authentic", Check.TWIML)
    rows: list[tuple[str, bytes, Mapping[str, str], str]] = [
        ("no signature", body, _FORM, "nothing is believed without one"),
        ("empty signature", body, right | {"x-twilio-signature": ""}, "empty is absent"),
        ("other token", body, sign.twilio(_VOICE, form, token=_OTHER), "the token decides"),
        ("for another path", body, sign.twilio("/webhook/twilio/status", form), "the address is signed"),
        ("field changed", more, right, "every field is signed"),
        ("field added", body + b"&Extra=1", right, "every field is signed"),
        ("field twice", body + b"&To=%2B12025559999", right, "repeated fields are signed too"),
        ("field left out", body.rpartition(b"&")[0], right, "every field is signed"),
        ("body as json", as_json, right | _JSON, "the kind of body does not matter"),
        ("not ascii", body, right | {"x-twilio-signature": "\u00e9"}, "answered, not stumbled over"),
        ("forwarded host", body, evil | elsewhere, "a header of a proxy does not say who we are"),
    ]
    shots = [first, *(_shot("twilio", name, data, headers, REFUSED, proves) for name, data, headers, proves in rows)]
    for other in twilio_shots(sign, "fallback"):
        shots.append(
            Shot("twilio", "signature of another webhook", _VOICE, other.body, other.headers, REFUSED, "one each")
        )
    no_call: dict[str, str] = {"CallStatus": "ringing"}
    headers = sign.twilio(_VOICE, no_call)
    shots.append(_shot("twilio", "no CallSid", urlencode(no_call).encode(), headers, (400,), "told, no traceback"))
    shots.append(
        _shot("twilio", "replay", body, right, (200,), "no second call is made of it", Check.TWIML),
    )
    return shots


def _is_hex(text: str) -> bool:
    return all(each in "0123456789abcdef" for each in text)


def _shot(
    provider: Provider,
    name: str,
    body: bytes,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    expected: tuple[int, ...],
    proves: str,
    check: Check = Check.STATUS,
    *,
    method: str = "POST",
    again: str = "",
) -> Shot:
    path = VAPI if provider == "vapi" else _VOICE
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    return Shot(provider, name, path, body, pairs, expected, proves, check, method, again=again)
