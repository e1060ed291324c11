"""Signatures: the vectors of the providers, every variant of a forgery, and mutations by the thousand."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from device.config import ConfigError
from device.settings import HmacSection, Scheme, WebSection
from device.web.requests import Raw
from device.web.signatures import Forged, TwilioVerifier, VapiVerifier, same, split_secrets
from device.webhook_sign import sign_twilio, sign_vapi, twilio_json_url

SECRET = "whsec-demo"
BODY = b'{"message":{"type":"status-update","status":"in-progress","call":{"id":"c-1"}}}'
STAMP = 1788247410457
NOW = datetime.fromtimestamp(STAMP / 1000, UTC)
ALL: tuple[Scheme, ...] = ("hmac", "hmac-body", "bearer", "x-vapi-secret")


def vapi(*secrets: str, trusted: bool = True, **web: Any) -> VapiVerifier:
    return VapiVerifier(WebSection(**web), secrets or (SECRET,), lambda: trusted)


def request(headers: Mapping[str, str], body: bytes = BODY, now: datetime = NOW, **other: str) -> Raw:
    return Raw(
        other.get("method", "POST"), other.get("path", "/webhook/vapi"), other.get("query", ""), headers, body, now
    )


def code(verifier: VapiVerifier | TwilioVerifier, raw: Raw) -> str:
    """Empty for an authentic one."""
    try:
        verifier.check(raw)
    except Forged as forged:
        return forged.code
    return ""


# -- Vapi -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "x-timestamp": str(STAMP),
                "x-signature": "b04ccc47b5c807d40867ac5b0df3606b840c11a550fc9a0a0fb68b4cf0ab64be",
            },
            "",
        ),
        ({"x-vapi-signature": "b345d846878ce9351ebe83d4fe71b41787076feeeda161c54676d61fc0db8913"}, ""),
        ({"x-vapi-signature": "sha256=b345d846878ce9351ebe83d4fe71b41787076feeeda161c54676d61fc0db8913"}, ""),
        ({"authorization": f"Bearer {SECRET}"}, ""),
        ({"authorization": f"bearer {SECRET}"}, ""),
        ({"x-vapi-secret": SECRET}, ""),
        ({}, "signature-missing"),
        ({"x-vapi-secret": ""}, "signature-missing"),
        ({"x-vapi-secret": "", "authorization": f"Bearer {SECRET}"}, ""),
        ({"authorization": "Bearer "}, "signature-wrong"),
        ({"authorization": SECRET}, "signature-wrong"),
        ({"authorization": f"Basic {SECRET}"}, "signature-wrong"),
        ({"authorization": f"Bearer {SECRET}, Bearer {SECRET}"}, "signature-wrong"),
        ({"x-vapi-secret": SECRET[:-1]}, "signature-wrong"),
        ({"x-vapi-secret": SECRET.upper()}, "signature-wrong"),
        ({"x-vapi-secret": f"{SECRET}\xe9"}, "signature-wrong"),
        ({"x-vapi-secret": "\u20ac\ud800"}, "signature-wrong"),
        ({"x-vapi-signature": "sha256="}, "signature-wrong"),
        ({"x-vapi-signature": "B345D846878CE9351EBE83D4FE71B41787076FEEEDA161C54676D61FC0DB8913"}, "signature-wrong"),
        ({"x-signature": "b345d846878ce9351ebe83d4fe71b41787076feeeda161c54676d61fc0db8913"}, "signature-wrong"),
    ],
)
def test_vectors_of_vapi(headers: dict[str, str], expected: str) -> None:
    assert code(vapi(), request(headers)) == expected


SECTIONS = [
    HmacSection(
        header=header,
        prefix=prefix,
        algorithm=algorithm,
        encoding=encoding,
        payload=payload,
        message_id_header="x-id",
        secret_is_base64=coded,
    )
    for header, prefix, algorithm, encoding, payload, coded in product(
        ("x-signature", "X-Hub-Sig"),
        ("", "sha256="),
        ("sha256", "sha512", "sha1"),
        ("hex", "base64"),
        ("{timestamp}.{body}", "{body}", "{message_id}.{timestamp}.{body}", "{method}|{url}|{timestamp}|{body}"),
        (False, True),
    )
]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_form_of_hmac_and_every_forgery_of_it(section: HmacSection) -> None:
    secret = "c2VjcmV0LWtleS1vZi10aGUtaG91c2U=" if section.secret_is_base64 else SECRET
    url = "https://edge.example.org/webhook/vapi?a=1"
    verifier = vapi(secret, schemes=("hmac",), hmac=section, base_url="https://edge.example.org/")
    sent = sign_vapi(BODY, secret, "hmac", section, NOW, url=url, message_id="m-1")
    good = request({name.lower(): value for name, value in sent.items()}, query="a=1")
    header = section.header.lower()
    value = good.headers[header]
    assert code(verifier, good) == ""

    def headers(**changed: str) -> Raw:
        return replace(good, headers={**good.headers, **{name.replace("_", "-"): v for name, v in changed.items()}})

    wrong = [
        *(replace(good, headers={**good.headers, header: forged}) for forged in variants(value)),
        *(replace(good, body=body) for body in (b"", BODY + b" ", BODY[:-1], BODY.replace(b"c-1", b"c-2"))),
    ]
    if "{timestamp}" in section.payload:
        wrong += [headers(x_timestamp=stamp) for stamp in (str(STAMP + 1), "", str(STAMP // 1000), f"0{STAMP}")]
    if "{message_id}" in section.payload:
        wrong += [headers(x_id="m-2"), headers(x_id="")]
    if "{url}" in section.payload:
        wrong += [replace(good, query="a=2"), replace(good, path="/webhook"), replace(good, method="PUT")]
    assert {code(verifier, each) for each in wrong} == {"signature-wrong"}
    missing = replace(good, headers={name: v for name, v in good.headers.items() if name != header})
    assert code(verifier, missing) == "signature-missing"
    assert not verifier.claims(missing.headers)
    other = vapi("another secret" if not section.secret_is_base64 else "YW5vdGhlcg==", schemes=("hmac",), hmac=section)
    assert code(other, good) == "signature-wrong"


def variants(value: str) -> list[str]:
    """Of a signature, none of them right."""
    other = "0" if value[-2] != "0" else "1"
    found = [value[:-1], value + "0", f" {value}", f"{value}, {value}", value[:-2] + other + value[-1], "\xe9" * 9, "="]
    return [
        each for each in (*found, value.swapcase(), f"sha256={value}", value.removeprefix("sha256=")) if each != value
    ]


@pytest.mark.parametrize(
    ("age_s", "trusted", "expected"),
    [
        (0, True, ""),
        (300, True, ""),
        (-300, True, ""),
        (301, True, "signature-expired"),
        (-301, True, "signature-expired"),
        (-40 * 365 * 86_400, False, ""),  # our clock stands at about 1986
        (3600, False, ""),
        (2 * 86_400, False, "signature-expired"),
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_the_window(age_s: int, trusted: bool, expected: str, unit: str) -> None:
    seconds = STAMP // 1000
    stamp = str(seconds if unit == "s" else seconds * 1000)
    signature = hmac.new(SECRET.encode(), f"{stamp}.".encode() + BODY, hashlib.sha256).hexdigest()
    here = datetime.fromtimestamp(seconds, UTC) + timedelta(seconds=age_s)
    raw = request({"x-signature": signature, "x-timestamp": stamp}, now=here)
    assert code(vapi(trusted=trusted), raw) == expected


def test_a_widened_window_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    verifier = vapi(trusted=False)
    late = request(sign_vapi(BODY, SECRET, "hmac", HmacSection(), NOW), now=NOW - timedelta(days=30))
    with caplog.at_level(logging.WARNING, "wakeline.web"):
        for _ in range(3):
            verifier.check(late)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e3", "\u0661", "9" * 400, " 1", "0x1", "1.5"])
def test_a_time_that_is_none(stamp: str) -> None:
    """Signed as it is, by somebody who has the secret."""
    payload = stamp.encode("utf-8") + b"." + BODY
    signature = hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()
    as_sent = stamp.encode("utf-8").decode("latin-1")
    raw = request({"x-signature": signature, "x-timestamp": as_sent})
    assert code(vapi(trusted=False), raw) == "signature-expired"


def test_what_one_scheme_has_signed_is_nothing_to_another() -> None:
    """`{timestamp}.{body}` is no body of the scheme without a time."""
    sent = sign_vapi(BODY, SECRET, "hmac", HmacSection(), NOW)
    stretched = request({"x-vapi-signature": sent["x-signature"]}, f"{sent['x-timestamp']}.".encode() + BODY)
    assert code(vapi(), stretched) == "signature-wrong"


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("allowed", ALL)
def test_only_what_is_configured_is_accepted(scheme: Scheme, allowed: Scheme) -> None:
    raw = request(sign_vapi(BODY, SECRET, scheme, HmacSection(), NOW))
    assert code(vapi(schemes=(allowed,)), raw) == ("" if scheme == allowed else "signature-missing")


@pytest.mark.parametrize("scheme", ALL)
def test_rotation(scheme: Scheme) -> None:
    secrets = split_secrets(" new-secret  old-secret ", "sch\xf6n")
    assert secrets == ("new-secret", "old-secret", "sch\xf6n")
    verifier = vapi(*secrets)
    for secret in secrets:
        headers = {
            k: v.encode().decode("latin-1") for k, v in sign_vapi(BODY, secret, scheme, HmacSection(), NOW).items()
        }
        assert code(verifier, request(headers)) == ""
    gone = sign_vapi(BODY, "older-secret", scheme, HmacSection(), NOW)
    assert code(verifier, request(gone)) == "signature-wrong"


def test_all_secrets_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after one has fitted, and always as hashes of one length."""
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b))
    assert same("a", ["a", "longer", "b"])
    assert compared == [(32, 32)] * 3


@pytest.mark.parametrize(
    ("section", "secret"),
    [
        (HmacSection(payload="{timestamp}"), SECRET),
        (HmacSection(payload="{message_id}.{body}"), SECRET),
        (HmacSection(secret_is_base64=True), "not base64!"),
    ],
)
def test_an_hmac_that_protects_nothing_is_no_setting(section: HmacSection, secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        vapi(secret, hmac=section)
    assert secret not in str(caught.value)
    with pytest.raises(ValueError, match="secret"):
        VapiVerifier(WebSection(), (), lambda: True)


text = st.text(st.characters(max_codepoint=255), max_size=80)


@settings(max_examples=700, deadline=None)
@given(
    body=st.binary(max_size=200),
    names=st.dictionaries(
        st.sampled_from(["x-signature", "x-timestamp", "x-vapi-signature", "authorization", "x-vapi-secret"]), text
    ),
)
def test_nothing_made_up_is_accepted(body: bytes, names: dict[str, str]) -> None:
    assert code(vapi(), request(names, body)) in ("signature-missing", "signature-wrong")


@settings(max_examples=700, deadline=None)
@given(
    scheme=st.sampled_from(["hmac", "hmac-body"]),
    at=st.integers(0, len(BODY) - 1),
    kind=st.sampled_from(["change", "drop", "add", "swap"]),
    byte=st.integers(0, 255),
)
def test_no_mutated_body_is_accepted(
    scheme: Scheme, at: int, kind: Literal["change", "drop", "add"], byte: int
) -> None:
    mutated = {
        "change": BODY[:at] + bytes([byte]) + BODY[at + 1 :],
        "drop": BODY[:at] + BODY[at + 1 :],
        "add": BODY[:at] + bytes([byte]) + BODY[at:],
        "swap": BODY[at:] + BODY[:at],
    }[kind]
    assume(mutated != BODY)
    sent = sign_vapi(BODY, SECRET, scheme, HmacSection(), NOW)
    assert code(vapi(), request(sent, mutated)) == "signature-wrong"


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_no_mutated_header_is_accepted(data: st.DataObject) -> None:
    sent = sign_vapi(BODY, SECRET, data.draw(st.sampled_from(ALL)), HmacSection(), NOW)
    name = data.draw(st.sampled_from(sorted(sent)))
    value = sent[name]
    at = data.draw(st.integers(0, len(value)))
    new = value[:at] + data.draw(text) + value[data.draw(st.integers(at, len(value))) :]
    assume(new.strip().lower().split() != value.lower().split())
    assert code(vapi(), request(sent | {name: new})) in ("signature-missing", "signature-wrong")


# -- Twilio -----------------------------------------------------------------------------------------------------------
TOKEN = "12345"
FORM = "application/x-www-form-urlencoded"


def twilio(base: str, *tokens: str) -> TwilioVerifier:
    return TwilioVerifier(base, tokens or (TOKEN,))


def posted(path: str, body: str, signature: str, query: str = "", media: str = FORM, **headers: str) -> Raw:
    given = {"x-twilio-signature": signature, "content-type": media} | headers
    return Raw("POST", path, query, given, body.encode(), NOW)


def test_the_vector_of_twilios_docs() -> None:
    body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    raw = posted("/myapp.php", body, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "foo=1&bar=2")
    verifier = twilio("https://mycompany.com")
    assert code(verifier, raw) == ""
    assert code(twilio("https://mycompany.com:443"), raw) == ""
    assert code(verifier, replace(raw, headers=raw.headers | {"host": "evil.example"})) == ""
    assert code(twilio("https://evil.example"), raw) == "signature-wrong"
    assert code(twilio("http://mycompany.com"), raw) == "signature-wrong"
    assert code(twilio("https://mycompany.com", "old", TOKEN), raw) == ""
    assert code(twilio("https://mycompany.com", "old"), raw) == "signature-wrong"
    for changed in (
        replace(raw, query="foo=1&bar=3"),
        replace(raw, path="/myapp"),
        replace(raw, body=raw.body + b"&New=1"),
        replace(raw, body=raw.body.replace(b"1234&", b"1235&")),
        replace(raw, body=b""),
        replace(raw, headers=raw.headers | {"content-type": "application/json"}),
        replace(raw, headers={"content-type": FORM, "x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8"}),
        replace(raw, headers={"content-type": FORM, "x-twilio-signature": "\xe9"}),
        replace(raw, body=b"\xff\xfe=1"),
        replace(raw, body=b"a=%ff"),
        replace(raw, body=b"&".join(b"a=%d" % n for n in range(2000))),
    ):
        assert code(verifier, changed) == "signature-wrong"
    assert code(verifier, replace(raw, headers={"content-type": FORM})) == "signature-missing"


@pytest.mark.parametrize(
    ("path", "signature"),
    [("/twilio/media", "L1oM7+JYUcjT679pRIq+lrNJEbQ="), ("/twilio/media", "9ZWN3A7GajMwcIO/LAJ1DIqJnio=")],
)
def test_the_vectors_of_an_upgrade(path: str, signature: str) -> None:
    headers = {"x-twilio-signature": signature, "upgrade": "WebSocket"}
    raw = Raw("GET", path, "", headers, b"", NOW)
    verifier = twilio("https://edge.example.org")
    assert code(verifier, raw) == ""
    assert code(verifier, replace(raw, path=f"{path}/")) == ""
    assert code(verifier, replace(raw, headers={"x-twilio-signature": signature})) == "signature-wrong"
    assert code(verifier, replace(raw, method="POST")) == "signature-wrong"
    assert code(verifier, replace(raw, body=b"{}")) == "signature-wrong"
    assert code(verifier, replace(raw, path="/other")) == "signature-wrong"


def test_a_json_body_is_bound_by_its_hash() -> None:
    body = '{"a":1}'
    url = twilio_json_url("https://edge.example.org/hook", body.encode())
    sent = sign_twilio(url, [], TOKEN)["x-twilio-signature"]
    raw = posted("/hook", body, sent, url.partition("?")[2], "application/json")
    verifier = twilio("https://edge.example.org")
    assert code(verifier, raw) == ""
    assert code(verifier, replace(raw, body=b'{"a":2}')) == "signature-wrong"
    assert code(verifier, replace(raw, query="")) == "signature-wrong"
    unbound = sign_twilio("https://edge.example.org/hook", [], TOKEN)["x-twilio-signature"]
    assert code(verifier, posted("/hook", body, unbound, "", "application/json")) == "signature-wrong"
    twice = f"{raw.query}&{raw.query}"
    signed = sign_twilio(f"https://edge.example.org/hook?{twice}", [], TOKEN)["x-twilio-signature"]
    assert code(verifier, posted("/hook", body, signed, twice, "application/json")) == "signature-wrong"


fields = st.lists(st.tuples(st.text(min_size=1, max_size=9), st.text(max_size=9)), max_size=8)


@settings(max_examples=500, deadline=None)
@given(pairs=fields, extra=st.tuples(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9)))
def test_every_form_is_understood_as_twilio_signs_it(pairs: list[tuple[str, str]], extra: tuple[str, str]) -> None:
    """Repeated and blank fields too; in another order it is the same request, with one more it is none."""
    from urllib.parse import urlencode

    assume(all(char < "\ud800" or char > "\udfff" for pair in [*pairs, extra] for part in pair for char in part))
    verifier = twilio("https://edge.example.org")
    sent = sign_twilio("https://edge.example.org/hook", pairs, TOKEN)["x-twilio-signature"]
    raw = posted("/hook", urlencode(pairs), sent)
    assert code(verifier, raw) == ""
    turned = replace(raw, body=urlencode(pairs[::-1] + pairs[:1]).encode())
    assert code(verifier, turned) == ""
    assert verifier.identity(turned) == verifier.identity(raw)
    assume(extra not in pairs)
    assert code(verifier, posted("/hook", urlencode([*pairs, extra]), sent)) == "signature-wrong"
