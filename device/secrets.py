"""Owns the secrets: systemd credentials, then the environment, then a .env file. Never TOML, never shown."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

NAMES = (
    "VAPI_API_KEY",
    "VAPI_ASSISTANT_ID",
    "VAPI_PHONE_NUMBER_ID",
    "VAPI_SERVER_SECRET",
    "VAPI_WEBHOOK_SECRET",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_NUMBER",
    "BACKEND_URL",
    "PORT",
)
"""What wakeline itself reads; headers of a backend may name others. A credential's file has the name in either case."""


class Secrets:
    """Looked up by name; an empty value is none."""

    def __init__(self, environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> None:
        environ = os.environ if environ is None else environ
        found = _env_file(env_file or Path(".env"))
        found |= {name: value for name, value in environ.items() if value}
        found |= _credentials(environ.get("CREDENTIALS_DIRECTORY", ""))
        self._values = {name: SecretStr(value) for name, value in found.items() if value}

    def get(self, name: str, default: str = "") -> str:
        """The secret itself: hand it on, never log it."""
        value = self._values.get(name)
        return value.get_secret_value() if value else default

    def names(self) -> tuple[str, ...]:
        """Which of `NAMES` are set."""
        return tuple(sorted(name for name in NAMES if name in self._values))

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.names())})"


def _credentials(folder: str) -> dict[str, str]:
    """systemd lays each credential as a file; a directory that is empty or missing means none.

    A file of a loaded directory is named after both: `LoadCredential=credentials:DIR` makes `credentials_vapi_api_key`.
    """
    if not folder or not Path(folder).is_dir():
        return {}
    found = {}
    for file in sorted(Path(folder).iterdir()):
        name = file.name.upper().removeprefix("CREDENTIALS_")
        if file.is_file():
            with contextlib.suppress(OSError, UnicodeDecodeError):  # one that is no text is for somebody else
                found[name] = file.read_text().strip()
    return found


def _env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; comments, `export` and quotes are understood."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip():
            found[name.strip()] = value.strip().strip("\"'")
    return found
