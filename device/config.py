"""The configuration's shape: every setting with its default, frozen. Where they come from is read in `config_sources`."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from audio.settings import EndpointSettings, GateSettings, LoopSettings, RecognitionSettings, ReplySettings
from device.calls.link import Destination
from device.functions.hours import BookSettings, HoursSettings, read_spans

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """One table of the TOML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AudioConfig(Section):
    """Sound cards."""

    input: str | int = ""
    """Microphone, by name or index as `wakeline devices` shows it; empty = the system's default."""
    output: str | int = ""
    """Loudspeaker, in the same way."""


class WakeConfig(Section):
    """The name it answers to."""

    engine: Literal["micro", "open", "none"] = "micro"
    """microWakeWord, openWakeWord's models, or none: push-to-talk only."""
    words: tuple[str, ...] = ("hey_jarvis",)
    """Wake words, several at once."""
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Between 0 and 1; without it each word's own."""


class SttConfig(Section):
    """Speech to text."""

    engine: Literal["moonshine"] = "moonshine"
    """Recognizer."""


class TtsConfig(Section):
    """Text to speech."""

    engine: Literal["piper", "hibari"] = "piper"
    """Voice: Piper (GPL, in a process of its own), or hibari for small boards."""
    speed: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    """1 = as the voice was made, 2 = twice as fast."""


class DialogConfig(Section):
    """Language and time."""

    language: Literal["en"] = "en"
    """Of the sentences."""
    timezone: str = ""
    """IANA name such as "Europe/Berlin"; empty = the system's."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name:
            _zone(name)
        return name


class DestinationConfig(Section):
    """Somebody who can be called; the table's name is what people say."""

    link: Literal["practice", "vapi", "twilio"] = "practice"
    """How it is reached."""
    address: Annotated[str, Field(pattern=r"^(\+[1-9]\d{6,14}|sips?:\S+|)$")] = ""
    """A number as +12025550143, a SIP address, or nothing where the link knows."""
    emergency: bool = False
    """Called without asking for consent."""


class CallsConfig(Section):
    """Escalation."""

    budget_per_hour: Annotated[int, Field(ge=0)] = 6
    """So many calls an hour; emergencies are not counted."""
    attempt_timeout_s: Seconds = 45.0
    """An attempt that nobody answers is given up."""
    consent_timeout_s: Seconds = 10.0
    """So long a yes is waited for."""
    longest_s: Positive = 600
    """A call ends after so long."""


class VapiConfig(Section):
    """Vapi account; its key is a secret and not written here."""

    base_url: str = "https://api.vapi.ai"
    """Of the interface."""
    assistant_id: str = ""
    """Who speaks at the far end (VAPI_ASSISTANT_ID)."""
    phone_number_id: str = ""
    """The number that Vapi calls from (VAPI_PHONE_NUMBER_ID)."""


class TwilioConfig(Section):
    """Twilio account; its token is a secret and not written here."""

    base_url: str = "https://api.twilio.com"
    """Of the interface."""
    account_sid: str = ""
    """Account (TWILIO_ACCOUNT_SID)."""
    from_number: Annotated[str, Field(pattern=r"^(\+[1-9]\d{6,14}|)$")] = ""
    """The number we call from, as +12025550143 (TWILIO_FROM_NUMBER)."""


class PrivacyConfig(Section):
    """What may be kept."""

    record_text: bool = False
    """Write what people say into the event record."""


class RecordConfig(Section):
    """The event record."""

    enabled: bool = True
    """Keep one."""
    max_bytes: Annotated[int, Field(ge=4096)] = 2_000_000
    """Of one file."""
    files: Positive = 5
    """So many files, the oldest goes."""


class FunctionsConfig(Section):
    """Your own functions."""

    dir: str = ""
    """Folder with *.py and *.yaml; empty = `functions` beside the configuration file."""


class PathsConfig(Section):
    """Where it keeps its things."""

    state_dir: Path = Field(default_factory=lambda: _state_dir())
    """Book and record; $STATE_DIRECTORY, else ~/.local/state/wakeline."""
    runtime_dir: Path = Field(default_factory=lambda: _runtime_dir())
    """Control socket; $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/wakeline."""

    @field_validator("state_dir", "runtime_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        path = path.expanduser()
        if not path.is_absolute():
            raise ValueError("must be an absolute path")
        return path


class Config(Section):
    """Everything that can be set. `config_sources.load` reads it."""

    audio: AudioConfig = AudioConfig()
    wake: WakeConfig = WakeConfig()
    stt: SttConfig = SttConfig()
    tts: TtsConfig = TtsConfig()
    gate: GateSettings = GateSettings()
    endpoint: EndpointSettings = EndpointSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    reply: ReplySettings = ReplySettings()
    dialog: DialogConfig = DialogConfig()
    book: BookSettings = BookSettings()
    functions: FunctionsConfig = FunctionsConfig()
    destinations: dict[str, DestinationConfig] = Field(default={"front desk": DestinationConfig()})
    calls: CallsConfig = CallsConfig()
    vapi: VapiConfig = VapiConfig()
    twilio: TwilioConfig = TwilioConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    record: RecordConfig = RecordConfig()
    paths: PathsConfig = Field(default_factory=PathsConfig)

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)
    _folders: tuple[Path, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _hours_of_the_book(cls, data: Any) -> Any:
        hours = data.get("book", {}).get("hours", {}) if isinstance(data, dict) else {}
        if isinstance(hours, dict):
            for day in HoursSettings.__dataclass_fields__:
                if isinstance(hours.get(day), str):
                    _read_hours(day, hours[day])
        return data

    @field_validator("gate", "endpoint", "recognition")
    @classmethod
    def _no_negative_time(cls, group: Any) -> Any:
        for name in type(group).__dataclass_fields__:
            if name.endswith("_ms") and getattr(group, name) < 0:
                raise ValueError(f"{name} must not be negative")
        return group

    @field_validator("book")
    @classmethod
    def _usable(cls, book: BookSettings) -> BookSettings:
        limits = {"slot_minutes": (5, 24 * 60), "capacity": (1, 1000), "max_days_ahead": (0, 3660)}
        for name, (least, most) in limits.items():
            if not least <= getattr(book, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most}")
        return book

    @property
    def loop(self) -> LoopSettings:
        """What the core needs."""
        return LoopSettings(self.gate, self.endpoint, self.recognition, self.reply)

    @property
    def zone(self) -> tzinfo:
        """The house's time zone."""
        return _zone(self.dialog.timezone) if self.dialog.timezone else system_zone()

    @property
    def callable_destinations(self) -> tuple[Destination, ...]:
        """In the order of the file; the first one is called for "a person"."""
        return tuple(
            Destination(name=name, link=one.link, address=one.address, emergency=one.emergency)
            for name, one in self.destinations.items()
        )

    @property
    def function_dirs(self) -> tuple[Path, ...]:
        """Existing folders with the user's own functions and sentences."""
        folders = (Path(self.functions.dir).expanduser(),) if self.functions.dir else self._folders
        return tuple(folder for folder in folders if folder.is_dir())

    @property
    def database(self) -> Path:
        return self.paths.state_dir / "wakeline.db"

    @property
    def control_socket(self) -> Path:
        return self.paths.runtime_dir / "control.sock"

    def source_of(self, key: str) -> str:
        """Where a dotted key was set: a file, an environment variable, or "default"."""
        return self._sources.get(key, "default")


def system_zone() -> tzinfo:
    """The zone that the system's clock shows, by its name where it has one."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _localtime_name()):
        if name:
            try:
                return _zone(name)
            except ValueError:
                continue
    return UTC


def _localtime_name() -> str:
    target = os.path.realpath("/etc/localtime")
    return target.partition("/zoneinfo/")[2].removeprefix("posix/").removeprefix("right/")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'{name!r} is no time zone: write a name such as "Europe/Berlin"') from error


def _read_hours(day: str, text: str) -> None:
    try:
        read_spans(text)
    except ValueError as error:
        raise ValueError(f"hours.{day}: {error}") from error


def _state_dir() -> Path:
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else Path.home() / ".local/state/wakeline"


def _runtime_dir() -> Path:
    if given := os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return Path(given)
    if session := os.environ.get("XDG_RUNTIME_DIR", ""):
        return Path(session) / "wakeline"
    return Path(f"/tmp/wakeline-{os.getuid()}")
