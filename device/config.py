"""The configuration: one TOML file, overridden by the environment, into one frozen value. Every setting has a default.

ConfigError     code "config-missing"       the file named on the command line is not there
                code "config-unreadable"    it is not TOML
                code "config-unknown-key"   a key that nobody reads, with a suggestion
                code "config-invalid"       a value of the wrong kind
"""

from __future__ import annotations

import contextlib
import difflib
import os
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from audio.settings import EndpointSettings, GateSettings, LoopSettings, RecognitionSettings, ReplySettings
from device import settings as part
from device.functions.hours import BookSettings
from device.section import MOST
from models.catalog import catalog

PLACES = (Path("/etc/wakeline/wakeline.toml"), Path.home() / ".config" / "wakeline" / "wakeline.toml")
"""Looked for in this order, the later one wins; WAKELINE_CONFIG or --config name another one."""
_LOUDEST_DB = 200
"""As a ratio of amplitudes already a 1 with ten zeros."""


class ConfigError(Exception):
    """The configuration cannot be used; one line for each fault."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Config(BaseSettings):
    """Everything that can be set. An environment variable WAKELINE_SECTION__KEY overrides the file."""

    model_config = SettingsConfigDict(
        env_prefix="WAKELINE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    timezone: str = ""
    """The house's time zone, for instance "Europe/Vienna"; unset: the system's."""
    audio: part.AudioSection = part.AudioSection()
    wake: part.WakeSection = part.WakeSection()
    stt: part.SttSection = part.SttSection()
    tts: part.TtsSection = part.TtsSection()
    gate: GateSettings = GateSettings()
    endpoint: EndpointSettings = EndpointSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    reply: ReplySettings = ReplySettings()
    dialog: part.DialogSection = part.DialogSection()
    book: BookSettings = BookSettings()
    destinations: dict[str, part.DestinationSection] = Field(
        default_factory=lambda: {"front desk": part.DestinationSection()}
    )
    """By the name people say. The first one is called for "a person"."""
    calls: part.CallsSection = part.CallsSection()
    vapi: part.VapiSection = part.VapiSection()
    twilio: part.TwilioSection = part.TwilioSection()
    web: part.WebSection = part.WebSection()
    functions: dict[str, part.BackendSection] = Field(default_factory=dict)
    """Functions behind an HTTP backend, by name; one of the name of a Python function takes its place."""
    assistant: part.AssistantSection = part.AssistantSection()
    privacy: part.PrivacySection = part.PrivacySection()
    record: part.RecordSection = part.RecordSection()
    paths: part.PathsSection = Field(default_factory=part.PathsSection)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise ValueError(f"{name!r} is no time zone; they look like Europe/Vienna") from error
        return name

    @field_validator("gate", "endpoint", "recognition", "reply")
    @classmethod
    def _no_impossible_lengths(cls, group: Any) -> Any:
        for entry in fields(group):
            if entry.name.endswith("_ms") and getattr(group, entry.name) < 0:
                raise ValueError(f"{entry.name} is a length of time: it cannot be negative")
            most = _LOUDEST_DB if entry.name.endswith("_db") else MOST
            if isinstance(value := getattr(group, entry.name), int | float) and abs(value) > most:
                raise ValueError(f"{entry.name} is {value:g}: nobody means so much")
        return group

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @property
    def loop(self) -> LoopSettings:
        """What the core needs to know."""
        return LoopSettings(self.gate, self.endpoint, self.recognition, self.reply)

    @property
    def models_folder(self) -> Path:
        """Where downloaded models are: $WAKELINE_MODELS, or `models` in the state folder."""
        return Path(os.environ.get("WAKELINE_MODELS") or self.paths.state_dir / "models")

    @property
    def stt_model(self) -> str:
        """The folder of the recognizer's model; empty for one whose model comes with its package."""
        if self.stt.engine != "vosk":
            return ""
        name = self.stt.model or "vosk-small-en"
        model = catalog().get(name)
        return str(self.models_folder / model.file) if model and model.url else name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone or _system_zone())


def load_config(path: Path | None = None) -> Config:
    """Read the configuration; without `path` from its usual places, and without any file the defaults.

    Raises:
        ConfigError: with every fault, one a line.
    """
    named = path or (Path(os.environ["WAKELINE_CONFIG"]) if os.environ.get("WAKELINE_CONFIG") else None)
    if named is not None and not named.is_file():
        raise ConfigError("config-missing", f"{named}: no such file")
    files = [named] if named else [place for place in PLACES if place.is_file()]
    values: dict[str, Any] = {}
    for file in files:
        values = _merged(values, _read(file))
    source = str(files[-1]) if files else "the environment"
    if files and "extensions" not in values.get("paths", {}):
        values.setdefault("paths", {})["extensions"] = files[-1].parent / "functions"
    try:
        return Config(**values)
    except ValidationError as error:
        raise _explained(error, source) from None
    except SettingsError as error:  # an environment variable that should be JSON and is not
        raise ConfigError("config-invalid", f"the environment: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError("config-unreadable", f"{file}: {error}") from error


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` wins, section by section and key by key."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def _explained(error: ValidationError, source: str) -> ConfigError:
    lines = []
    unknown = False
    for fault in error.errors():
        key = ".".join(str(step) for step in fault["loc"])
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            unknown = True
            close = difflib.get_close_matches(str(fault["loc"][-1]), _keys_beside(fault["loc"]), n=1, cutoff=0.5)
            lines.append(f"{source}: unknown key {key}" + (f"; did you mean {close[0]}?" if close else ""))
        else:
            lines.append(f"{source}: {key}: {fault['msg']}")
    return ConfigError("config-unknown-key" if unknown else "config-invalid", "\n".join(lines))


def _keys_beside(where: tuple[int | str, ...]) -> list[str]:
    """The keys that exist where an unknown one was found."""
    group: Any = Config
    for step in where[:-1]:
        if isinstance(group, type) and issubclass(group, BaseModel) and step in group.model_fields:
            group = group.model_fields[str(step)].annotation
        elif is_dataclass(group):
            group = get_type_hints(group)[str(step)]
        else:  # a table of tables: by a name that the user chose
            group = next(iter(get_args(group)[1:]), part.DestinationSection)
    if isinstance(group, type) and issubclass(group, BaseModel):
        return list(group.model_fields)
    return [key.name for key in fields(group)] if is_dataclass(group) else []


def _system_zone() -> str:
    """The system's zone by name; UTC where it has none. TZ may hold what only the C library understands."""
    for where in (os.environ.get("TZ", "").lstrip(":"), str(Path("/etc/localtime").resolve())):
        if name := where.rpartition("zoneinfo/")[2]:
            with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
                return ZoneInfo(name).key
    return "UTC"
