"""Composition root: the one place where the parts of the appliance are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audio.wire import EarsConfig
from device.appliance import Appliance
from device.calls.escalation import Escalation
from device.calls.link import Destination, Link
from device.calls.links import TwilioAccount, VapiAccount, build_links
from device.calls.policy import Budget
from device.calls.practice import PracticeLink
from device.calls.watch import CallEvent, Clock, Patience
from device.config import Config
from device.secrets import Secrets

DATABASE = "wakeline.db"


def destinations_of(config: Config) -> dict[str, Destination]:
    """Everybody who can be called, by name."""
    return {
        name: Destination(name, entry.link, entry.address, entry.emergency)
        for name, entry in config.destinations.items()
    }


def links_of(config: Config, secrets: Secrets) -> Mapping[str, Link]:
    """Every link, with the account it has."""
    vapi, twilio = config.vapi, config.twilio
    return build_links(
        VapiAccount(
            api_key=secrets.get("VAPI_API_KEY"),
            assistant_id=vapi.assistant_id or secrets.get("VAPI_ASSISTANT_ID"),
            phone_number_id=vapi.phone_number_id or secrets.get("VAPI_PHONE_NUMBER_ID"),
            base_url=vapi.base_url,
        ),
        TwilioAccount(
            account_sid=twilio.account_sid or secrets.get("TWILIO_ACCOUNT_SID"),
            auth_token=secrets.get("TWILIO_AUTH_TOKEN"),
            number=twilio.number or secrets.get("TWILIO_NUMBER"),
            base_url=twilio.base_url,
        ),
        longest=config.calls.longest_s,
    )


def ears_config(config: Config, epoch: int = 1) -> EarsConfig:
    """What the ears need to know of the configuration."""
    return EarsConfig(
        epoch=epoch,
        loop=config.loop,
        input=config.audio.input,
        output=config.audio.output,
        wake_engine=config.wake.engine,
        wake_words=config.wake.words,
        wake_threshold=config.wake.threshold,
        stt_engine=config.stt.engine,
        tts_engine=config.tts.engine,
        tts_speed=config.tts.speed,
    )
