"""Twilio's forms: from the raw bytes that were signed to the few fields that we read. Owns what counts as malformed.

FormInvalid    code "form-too-many-fields"    more than any callback of Twilio has
               code "form-unreadable"         not application/x-www-form-urlencoded
               code "form-field-invalid"      a field we need is missing, doubled or of another kind
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

MOST_FIELDS = 200
"""Twilio sends about 30; SIP headers and custom parameters add to them."""
_CALL = re.compile(r"CA[0-9A-Za-z]{1,62}")
_STATUS = re.compile(r"[a-z][a-z-]{0,31}")
_NUMBER = re.compile(r"[0-9]{1,6}")
_DETAILS = {"Direction": "direction", "AnsweredBy": "answered-by", "CallDuration": "s", "SipResponseCode": "sip"}
_DETAIL = re.compile(r"[\w-]{1,40}", re.ASCII)
_USUAL_PLACE = {"queued": 0, "initiated": 0, "ringing": 1, "in-progress": 2, "answered": 2}
_LAST_PLACE = 3


class FormInvalid(Exception):
    """The form cannot be used; the message names the field and never its value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class CallForm:
    """What Twilio says about a call, as far as we read it."""

    call: str
    """CallSid."""
    status: str
    """CallStatus; empty where the form has none."""
    number: int
    """SequenceNumber, or the usual place of the status."""
    caller: str
    """From. Not for logs."""
    called: str
    """To. Not for logs."""
    dialled: str
    """DialCallStatus: how the call went on that our TwiML dialled; empty before."""
    detail: str
    """Direction, duration and codes, for the record; no telephone numbers."""


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Every field in its order, blank and repeated ones too.

    Raises:
        FormInvalid: when it is no form, or has too many fields.
    """
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except UnicodeDecodeError:
        raise FormInvalid("form-unreadable", "the body is no URL-encoded form") from None
    except ValueError:
        if body.count(b"&") >= MOST_FIELDS:
            raise FormInvalid("form-too-many-fields", f"more than {MOST_FIELDS} fields") from None
        raise FormInvalid("form-unreadable", "the body is no URL-encoded form") from None


def read_call(body: bytes, *, status_needed: bool = False) -> CallForm:
    """The fields of a voice request or a status callback.

    Raises:
        FormInvalid: when CallSid or, where needed, CallStatus is missing or not what Twilio sends.
    """
    fields = read_form(body)
    status = _one(fields, "CallStatus", _STATUS, needed=status_needed)
    number = _one(fields, "SequenceNumber", _NUMBER, needed=False)
    found = {name: value for name, value in fields if name in _DETAILS and _DETAIL.fullmatch(value)}
    return CallForm(
        call=_one(fields, "CallSid", _CALL, needed=True),
        status=status,
        number=int(number) if number else _USUAL_PLACE.get(status, _LAST_PLACE),
        caller=next((value for name, value in fields if name == "From"), ""),
        called=next((value for name, value in fields if name == "To"), ""),
        dialled=_one(fields, "DialCallStatus", _STATUS, needed=False),
        detail=" ".join(f"{_DETAILS[name]}={value}" for name, value in found.items()),
    )


def _one(fields: list[tuple[str, str]], name: str, kind: re.Pattern[str], *, needed: bool) -> str:
    """The only value of a field; a second, different one would let two readers see two calls."""
    values = {value for key, value in fields if key == name}
    if not values - {""} and not needed:
        return ""
    if len(values) != 1:
        raise FormInvalid("form-field-invalid", f"{name} is {'missing' if not values else 'there twice'}")
    (value,) = values
    if not kind.fullmatch(value):
        raise FormInvalid("form-field-invalid", f"{name} is not as Twilio sends it")
    return value
