"""The signing helpers against vectors that were made elsewhere, and against Twilio's own validator."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from device.settings import HmacSection
from device.webhook_sign import sign_twilio, sign_vapi, twilio_json_url

BODY = b'{"message":{"type":"status-update","status":"in-progress","call":{"id":"c-1"}}}'
WHEN = datetime.fromtimestamp(1788247410.457, UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def test_the_known_vectors_of_vapi() -> None:
    assert sign_vapi(BODY, "whsec-demo", "hmac", HmacSection(), WHEN) == {
        "x-signature": "b04ccc47b5c807d40867ac5b0df3606b840c11a550fc9a0a0fb68b4cf0ab64be",
        "x-timestamp": "1788247410457",
    }
    assert sign_vapi(BODY, "whsec-demo", "hmac-body", HmacSection(), WHEN) == {
        "x-vapi-signature": "b345d846878ce9351ebe83d4fe71b41787076feeeda161c54676d61fc0db8913"
    }


def test_a_body_with_a_placeholder_is_signed_as_it_is() -> None:
    plain = HmacSection(payload="{body}")
    one = sign_vapi(b"{timestamp}{url}", "s", "hmac", plain, WHEN, url="u")
    assert one != sign_vapi(b"1788247410457u", "s", "hmac", plain, WHEN, url="u")
    assert "x-timestamp" not in one


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        ("wss://edge.example.org/twilio/media", "L1oM7+JYUcjT679pRIq+lrNJEbQ="),
        ("wss://edge.example.org:443/twilio/media", "9ZWN3A7GajMwcIO/LAJ1DIqJnio="),
    ],
)
def test_the_known_vectors_of_twilio(url: str, signature: str) -> None:
    assert sign_twilio(url, {}, "12345") == {"x-twilio-signature": signature}


@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_twilios_own_validator_accepts_every_form(pairs: list[tuple[str, str]]) -> None:
    class Form(dict[str, str]):
        """With repeated fields, as the validator knows them from web frameworks."""

        def getall(self, name: str) -> list[str]:
            return [value for key, value in pairs if key == name]

    url = "https://edge.example.org/webhook/twilio/voice"
    signature = sign_twilio(url, pairs, "12345")["x-twilio-signature"]
    assert RequestValidator("12345").validate(url, Form(pairs), signature)


def test_twilios_own_validator_accepts_a_json_body() -> None:
    url = twilio_json_url("https://edge.example.org/webhook?a=1", BODY)
    signature = sign_twilio(url, {}, "12345")["x-twilio-signature"]
    assert RequestValidator("12345").validate(url, BODY.decode(), signature)
