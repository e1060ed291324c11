"""Which links this device has, made from its accounts. Owns no secret: it passes them on and never shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from device.calls import twilio, vapi
from device.calls.link import Link
from device.calls.practice import PracticeLink


@dataclass(frozen=True, slots=True)
class VapiAccount:
    api_key: str = field(default="", repr=False)
    assistant_id: str = ""
    phone_number_id: str = ""
    base_url: str = vapi.BASE_URL
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    account_sid: str = ""
    auth_token: str = field(default="", repr=False)
    number: str = ""
    """The number we call from, in E.164 form."""
    base_url: str = twilio.BASE_URL
    timeout: float = 10.0
    ring: int = 40
    caller: str = "the voice assistant"


def build_links(
    vapi_account: VapiAccount | None = None,
    twilio_account: TwilioAccount | None = None,
    *,
    longest: int = 600,
    practice: PracticeLink | None = None,
) -> Mapping[str, Link]:
    """All links by name; one without an account raises `LinkNotReady` when it is used, saying what to set."""
    cloud = vapi_account or VapiAccount()
    phone = twilio_account or TwilioAccount()
    links: tuple[Link, ...] = (
        practice or PracticeLink(),
        vapi.VapiLink(
            cloud.api_key,
            cloud.assistant_id,
            cloud.phone_number_id,
            base_url=cloud.base_url,
            timeout=cloud.timeout,
            longest=longest,
        ),
        twilio.TwilioLink(
            phone.account_sid,
            phone.auth_token,
            phone.number,
            base_url=phone.base_url,
            timeout=phone.timeout,
            ring=phone.ring,
            longest=longest,
            caller=phone.caller,
        ),
    )
    return {link.name: link for link in links}


async def close_links(links: Mapping[str, Link]) -> None:
    for link in links.values():
        await link.aclose()
