"""Owns the sections of the configuration: one frozen group per concern, a sentence under each setting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every section: frozen, strict about unknown keys, documented by the sentence under each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AudioSection(Section):
    """The sound card."""

    input: str | int = ""
    """Microphone: part of its name, its index, or "" for the system's default; `wakeline devices` lists them."""
    output: str | int = ""
    """Loudspeaker, likewise."""


class WakeSection(Section):
    """The wake word."""

    engine: Literal["micro", "open", "none"] = "micro"
    """"micro" costs half a percent of a core, "open" (openWakeWord) more; "none" leaves push-to-talk."""
    words: tuple[str, ...] = ("hey_jarvis",)
    """All of them are listened for at once."""
    threshold: Percent | None = None
    """How sure the engine must be, 0 to 1; unset is the engine's own choice."""


class SttSection(Section):
    """Speech to text."""

    engine: Literal["moonshine", "vosk"] = "moonshine"
    """"moonshine" comes with the package; "vosk" decodes while one speaks, and its model is downloaded once."""
    model: str = ""
    """For "vosk": a name from `wakeline models list`, or a model's folder; unset: vosk-small-en."""


class TtsSection(Section):
    """Text to speech."""

    engine: Literal["piper", "hibari"] = "piper"
    """"piper": the joe voice (GPL-3.0, in a process of its own); "hibari": 5 to 8 times faster (Apache-2.0)."""
    speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """1 is the voice's own pace."""


class DialogSection(Section):
    """What is understood and said."""

    language: str = "en"
    """A folder below device/dialog."""
    min_confidence: Percent = 0.5
    """A transcript less sure than this counts as not understood."""
    context_s: Annotated[float, Field(gt=0)] = 120.0
    """A talk is forgotten so long after its last turn: the next person starts fresh."""


class DestinationSection(Section):
    """Somebody who can be called, under the name people say."""

    link: Literal["practice", "vapi", "twilio"] = "practice"
    """How to reach them; "practice" rings nobody and needs no account."""
    address: str = ""
    """A number in E.164 form (+12025550143); not needed for practice."""
    emergency: bool = False
    """Called without asking first, and without a budget."""


class CallsSection(Section):
    """Escalation."""

    budget_per_hour: Annotated[int, Field(ge=0)] = 6
    """No more calls are placed within an hour; emergencies do not count."""
    longest_s: Annotated[int, Field(ge=10)] = 600
    """A call is ended after so long."""
    ring_s: Annotated[int, Field(ge=5)] = 60
    """Nobody answers for so long: given up."""


class VapiSection(Section):
    """The account at Vapi; its key is a secret (VAPI_API_KEY)."""

    base_url: str = "https://api.vapi.ai"
    """https://api.eu.vapi.ai for an account in the EU."""
    assistant_id: str = ""
    """Also read from VAPI_ASSISTANT_ID."""
    phone_number_id: str = ""
    """Also read from VAPI_PHONE_NUMBER_ID."""


class TwilioSection(Section):
    """The account at Twilio; its token is a secret (TWILIO_AUTH_TOKEN)."""

    base_url: str = "https://api.twilio.com"
    """Another one only for tests."""
    account_sid: str = ""
    """Also read from TWILIO_ACCOUNT_SID."""
    number: str = ""
    """The number we call from; also read from TWILIO_NUMBER."""


class PrivacySection(Section):
    """What may be kept."""

    record_text: bool = False
    """Write what people said into the event record. Audio is never recorded."""


class RecordSection(Section):
    """The event record."""

    enabled: bool = True
    """Keep one."""
    max_bytes: Annotated[int, Field(ge=4096)] = 2_000_000
    """Size of one file."""
    files: Annotated[int, Field(ge=1)] = 5
    """So many files are kept."""


_SERVICE_STATE = Path("/var/lib/wakeline")
_SERVICE_RUNTIME = Path("/run/wakeline")


def _state_dir() -> Path:
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    # Where the service is installed and this user may, its commands reach it: the book there is the book.
    return _SERVICE_STATE if os.access(_SERVICE_STATE, os.W_OK) else Path.home() / ".local" / "state" / "wakeline"


def _runtime_dir() -> Path:
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    if os.access(_SERVICE_RUNTIME, os.W_OK):
        return _SERVICE_RUNTIME
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) / "wakeline" if base else Path(f"/tmp/wakeline-{os.getuid()}")


class PathsSection(Section):
    """Where things are."""

    state_dir: Path = Field(default_factory=_state_dir)
    """Database and event record; under systemd $STATE_DIRECTORY."""
    runtime_dir: Path = Field(default_factory=_runtime_dir)
    """Control socket; under systemd $RUNTIME_DIRECTORY."""
    extensions: Path | None = None
    """Folder with your own functions (*.py) and sentences (*.yaml); unset: `functions` beside the file."""
