"""The catalog's files: found, missing, truncated, altered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from models import catalog
from models.engines import ModelUnavailable


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of ours that stands in for a wheel, with one catalogued file."""
    package = tmp_path / "stand_in_wheel"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('resolving must not run the package')")
    (package / "net.bin").write_bytes(b"12345678")
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = "ef797c8118f02dfb649607dd5d3f8c7623048c9c063d532cc95c5ed7a898a64f"
    model = catalog.Model(
        "net", "net.bin", 8, digest, "MIT", "https://example.com", distribution="stand-in==1", package="stand_in_wheel"
    )
    absent = dataclasses.replace(model, name="absent", package="no_such_wheel")
    monkeypatch.setattr(catalog, "catalog", lambda: {"net": model, "absent": absent})
    return package / "net.bin"


def test_a_whole_file_is_found_without_running_its_package(own_model: Path) -> None:
    assert catalog.verify("net") == own_model


@pytest.mark.parametrize(("content", "says"), [(b"1234", "4 bytes instead of 8"), (b"87654321", "not the file")])
def test_a_damaged_file_is_named(own_model: Path, content: bytes, says: str) -> None:
    own_model.write_bytes(content)
    with pytest.raises(ModelUnavailable, match=says):
        catalog.verify("net")


def test_a_missing_file_says_what_to_install(own_model: Path) -> None:
    own_model.unlink()
    with pytest.raises(ModelUnavailable, match="pip install stand-in==1"):
        catalog.resolve("net")


@pytest.mark.usefixtures("own_model")
def test_a_missing_package_and_an_unknown_name() -> None:
    with pytest.raises(ModelUnavailable, match="pip install stand-in==1"):
        catalog.resolve("absent")
    with pytest.raises(ModelUnavailable, match="absent, net"):
        catalog.resolve("nonsense")


@pytest.mark.models
@pytest.mark.parametrize("name", sorted(name for name, model in catalog.catalog().items() if model.package))
def test_the_installed_files_are_the_catalogued_ones(name: str) -> None:
    assert catalog.verify(name).is_file()
