"""The configuration: defaults for everything, clear lines for every fault, secrets from where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device import config as module
from device.config import ConfigError, load_config
from device.secrets import Secrets


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine's user takes part."""
    monkeypatch.setattr(module, "PLACES", ())
    monkeypatch.delenv("WAKELINE_CONFIG", raising=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "wakeline.toml"
    path.write_text(text)
    return path


def test_everything_has_a_default() -> None:
    config = load_config()
    assert config.loop.endpoint.silence_ms == 700
    assert list(config.destinations) == ["front desk"]
    assert config.zone.key


def test_a_file_and_the_environment_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, 'timezone = "Europe/Vienna"\n[endpoint]\nsilence_ms = 500\ncap_ms = 9000\n')
    monkeypatch.setenv("WAKELINE_ENDPOINT__SILENCE_MS", "400")
    config = load_config(path)
    assert (config.endpoint.silence_ms, config.endpoint.cap_ms) == (400, 9000)
    assert config.zone.key == "Europe/Vienna"
    assert config.paths.extensions == tmp_path / "functions"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("[endpoint]\nsilense_ms = 1", "config-unknown-key", "did you mean silence_ms?"),
        ("timezon = 'x'", "config-unknown-key", "did you mean timezone?"),
        ("[destinations.nurse]\nadress = '+1'", "config-unknown-key", "did you mean address?"),
        ("[tts]\nengine = 'festival'", "config-invalid", "tts.engine"),
        ("[endpoint]\nsilence_ms = 'long'", "config-invalid", "endpoint.silence_ms"),
        ("timezone = 'Mars/Base'", "config-invalid", "Europe/Vienna"),
        ("[book.hours]\nmonday = '9-17'", "config-invalid", "hours.monday"),
        ("[book.hours]\nfriday = '18:00-09:00'", "config-invalid", "must end after it begins"),
        ("[book.hours]\nfridy = ''", "config-unknown-key", "did you mean friday?"),
        ("[reply]\ntimeout_ms = -5", "config-invalid", "timeout_ms is a length of time"),
        ("[calls]\nbudget_per_hour = -1", "config-invalid", "calls.budget_per_hour"),
        ("a = = 1", "config-unreadable", "wakeline.toml"),
    ],
)
def test_every_fault_is_a_clear_line(tmp_path: Path, text: str, code: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    assert caught.value.code == code
    assert says in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "nothing.toml")
    assert caught.value.code == "config-missing"


@given(st.text(max_size=60))
def test_no_file_raises_anything_else(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wakeline.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load_config(path)
        except ConfigError as error:
            assert error.code.startswith("config-")  # noqa: PT017 - most texts are no configuration, some are


def test_secrets_come_from_credentials_then_the_environment_then_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("export VAPI_API_KEY='from-file'\nTWILIO_AUTH_TOKEN=token\nOTHER=x\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "credentials_vapi_api_key").write_text("from-credential\n")
    environ = {"VAPI_API_KEY": "from-environment", "TWILIO_NUMBER": "", "CREDENTIALS_DIRECTORY": str(credentials)}
    secrets = Secrets(environ, tmp_path / ".env")
    assert secrets.get("VAPI_API_KEY") == "from-credential"
    assert secrets.get("TWILIO_AUTH_TOKEN") == "token"
    assert secrets.get("TWILIO_NUMBER", "none") == "none"
    assert "from-credential" not in repr(secrets)


def test_a_credentials_directory_may_be_missing(tmp_path: Path) -> None:
    assert Secrets({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}, tmp_path / ".env").names() == ()
