"""From the configuration and its secrets to links, destinations and limits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from device.calls.link import CallRequest, Destination, LinkNotReady, PlacedCall
from device.calls.links import (
    TwilioAccount,
    VapiAccount,
    build_budget,
    build_destinations,
    build_links,
    build_patience,
    close_links,
)
from device.config import Config
from device.secrets import Secrets
from device.settings import CallsSection, DestinationSection, TwilioSection, VapiSection
from tests.doubles import twilio as fake_twilio
from tests.doubles import vapi as fake_vapi

NO_FILE = Path("/nonexistent/.env")


def test_the_default_needs_no_account() -> None:
    links = build_links(Config(), Secrets({}, NO_FILE))
    assert sorted(links) == ["practice", "twilio", "vapi"]
    assert build_destinations(Config()) == {"front desk": Destination("front desk", "practice")}
    with pytest.raises(LinkNotReady, match="VAPI_API_KEY"):
        asyncio.run(links["vapi"].status(PlacedCall("a", "b")))


def test_names_keep_the_order_of_the_configuration() -> None:
    config = Config(
        destinations={
            "nurse": DestinationSection(link="twilio", address="+12025550199", emergency=True),
            "Anna": DestinationSection(link="vapi", address="+12025550143"),
        }
    )
    assert list(build_destinations(config).values()) == [
        Destination("nurse", "twilio", "+12025550199", True),
        Destination("Anna", "vapi", "+12025550143"),
    ]


def test_limits() -> None:
    config = Config(calls=CallsSection(budget_per_hour=2, ring_s=20, longest_s=100))
    assert build_budget(config).calls_per_hour == 2
    patience = build_patience(config)
    assert patience.ring > 20, "the vendor gives up first and says why"
    assert patience.longest > 100


@pytest.mark.calls
def test_settings_and_secrets_reach_the_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with fake_vapi.FakeVapi() as cloud, fake_twilio.FakeTwilio() as phone:
        config = Config(
            vapi=VapiSection(base_url=cloud.url, assistant_id="from the file", phone_number_id=fake_vapi.NUMBER),
            twilio=TwilioSection(base_url=phone.url, account_sid=fake_twilio.ACCOUNT, number=fake_twilio.FROM),
            calls=CallsSection(ring_s=21, longest_s=99),
        )
        environ = {
            "VAPI_API_KEY": fake_vapi.KEY,
            "VAPI_ASSISTANT_ID": "from the secrets",
            "TWILIO_AUTH_TOKEN": fake_twilio.TOKEN,
        }
        links = build_links(config, Secrets(environ, NO_FILE))

        async def play() -> None:
            for name in ("vapi", "twilio"):
                await links[name].place(CallRequest("a", Destination("desk", name, fake_twilio.TO), "why"))
            await close_links(links)

        asyncio.run(play())
        (body,) = cloud.creations
        assert (body["assistantId"], body["assistantOverrides"]["maxDurationSeconds"]) == ("from the secrets", 99)
        (form,) = phone.creations
        assert (form["Timeout"], form["TimeLimit"]) == ("21", "99")


def test_accounts_do_not_show_their_secrets() -> None:
    shown = repr(VapiAccount("key-of-ours")) + repr(TwilioAccount("AC1", "token-of-ours"))
    assert "of-ours" not in shown
