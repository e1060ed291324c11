"""All functions of a configuration: the builtin ones, the user's Python files, and those behind HTTP backends."""

from __future__ import annotations

from device.config import Config
from device.functions.backend import Backends
from device.functions.registry import Registry
from device.secrets import Secrets


def load_functions(config: Config, secrets: Secrets) -> Registry:
    """Read them; `close` the registry.

    Raises:
        FunctionFileBroken: one of the user's files cannot be used.
        ConfigError: an entry of the configuration cannot be used.
    """
    extensions = config.paths.extensions
    folders = [extensions] if extensions is not None and extensions.is_dir() else []
    return Registry.load(folders, Backends(config.functions, secrets) if config.functions else None)
