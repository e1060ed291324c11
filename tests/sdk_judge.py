"""The vendor's own SDK as a judge: its types in a virtual environment of their own, since it pins an older pydantic.

Run as a script inside that environment it reads `[[class name, value], ...]` and prints the faults of each.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SDK = "vapi-server-sdk==3.0.0"
NOT_HERE = "not installable here"
_READY = "ready"
_FREE = ("metadata", "variable_values", "properties", "headers")


class SdkMissing(Exception):
    """The SDK cannot be installed on this computer now."""


def judged(pairs: Sequence[tuple[str, Any]]) -> list[list[str]]:
    """The faults of each value by the SDK's class of that name. All at once: loading the types takes seconds."""
    done = subprocess.run(
        [str(_python()), __file__],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        timeout=300,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
    faults: list[list[str]] = json.loads(done.stdout)
    return faults


def _python() -> Path:
    """The environment's interpreter; made at the first use, by one process at a time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wakeline-judges"
    folder = cache / f"{SDK.replace('==', '-')}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _READY).exists():
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", SDK])
            (folder / _READY).touch()
    return python


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise SdkMissing(f"{NOT_HERE}: {type(error).__name__}") from error


# -- inside the environment -----------------------------------------------------------------------------------------
def _faults(name: str, value: Any) -> list[str]:
    from pydantic import ValidationError

    module = importlib.import_module("vapi.types." + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    try:
        model = getattr(module, name).model_validate(_mended(value))
    except ValidationError as error:
        return [f"{'/'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return list(_extras(model, ""))


def _mended(value: Any) -> Any:
    """`BackoffPlan.type` is an object in the SDK, as in the unmended definition; the interface takes the word."""
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: each | {"type": {}} if key == "backoffPlan" and isinstance(each, dict) else _mended(each)
        for key, each in value.items()
    }


def _extras(value: Any, path: str) -> Iterator[str]:
    """Keys that the SDK's types keep without knowing them."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _extras(each, f"{path}/{number}")
    for key in getattr(value, "model_extra", None) or ():
        yield f"{path}/{key} is not in the type"
    for key in getattr(type(value), "model_fields", ()):
        if key not in _FREE:
            yield from _extras(getattr(value, key), f"{path}/{key}")


if __name__ == "__main__":
    json.dump([_faults(name, value) for name, value in json.load(sys.stdin)], sys.stdout)
