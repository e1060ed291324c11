"""What the configuration says about calls: links, destinations, budget, patience. Shows no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from device.calls import twilio, vapi
from device.calls.link import Destination, Link
from device.calls.policy import Budget
from device.calls.practice import PracticeLink
from device.calls.watch import Patience
from device.config import Config
from device.secrets import Secrets

_VENDOR_FIRST = 15.0
"""Seconds by which the vendor's own limits come before ours: it knows better why a call ended."""


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
    ring: int = 60
    caller: str = "the voice assistant"


def build_links(config: Config, secrets: Secrets, *, practice: PracticeLink | None = None) -> Mapping[str, Link]:
    """All links by name, from the configuration and its secrets; a secret wins over the configuration."""
    cloud = VapiAccount(
        secrets.get("VAPI_API_KEY"),
        secrets.get("VAPI_ASSISTANT_ID", config.vapi.assistant_id),
        secrets.get("VAPI_PHONE_NUMBER_ID", config.vapi.phone_number_id),
        config.vapi.base_url,
    )
    phone = TwilioAccount(
        secrets.get("TWILIO_ACCOUNT_SID", config.twilio.account_sid),
        next(iter(secrets.get("TWILIO_AUTH_TOKEN").split()), ""),  # the first, while two are there for rotation
        secrets.get("TWILIO_NUMBER", config.twilio.number),
        config.twilio.base_url,
        ring=config.calls.ring_s,
    )
    return make_links(cloud, phone, longest=config.calls.longest_s, practice=practice)


def build_destinations(config: Config) -> dict[str, Destination]:
    """By the name people say, in the order of the configuration."""
    return {
        name: Destination(name, section.link, section.address, section.emergency)
        for name, section in config.destinations.items()
    }


def build_budget(config: Config) -> Budget:
    return Budget(config.calls.budget_per_hour)


def build_patience(config: Config) -> Patience:
    return Patience(ring=config.calls.ring_s + _VENDOR_FIRST, longest=config.calls.longest_s + _VENDOR_FIRST)


def make_links(
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
