"""Tool calls in every shape that Vapi has used: three containers, nested or flat, arguments as object or JSON text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_DEEPEST = 32
_MOST = 64
"""So many calls of one message are answered; a model asks for one or two."""
_LONGEST_ID = 128


class ToolCall(msgspec.Struct, frozen=True):
    """A wish of the model's to run a function."""

    id: str
    """Its answer carries exactly this."""
    name: str
    arguments: Mapping[str, Any] | None
    """None: they are no JSON object."""
    timeout_s: float | None = None
    """How long Vapi waits, where the message tells."""


def tool_calls(*containers: Any) -> tuple[ToolCall, ...]:
    """Those of all containers in order; one that is in several of them, or twice in one, counts once."""
    found: dict[str, ToolCall] = {}
    for container in containers:
        for call in _calls(container):
            known = found.get(call.id)
            if known is None and len(found) < _MOST:
                found[call.id] = call
            elif known is not None and known.timeout_s is None and call.timeout_s is not None:
                # The container with the tool beside its call tells how long it may take.
                found[call.id] = ToolCall(known.id, known.name, known.arguments, call.timeout_s)
    return tuple(found.values())


def _calls(container: Any) -> Iterator[ToolCall]:
    for entry in container if isinstance(container, list) else ():
        if not isinstance(entry, dict):
            continue
        call = _within(entry, "toolCall")
        function = _within(call, "function")
        # Beside a call the tool's own name may stand, flat or nested.
        tool = _within(entry, "function")
        id, name = call.get("id"), function.get("name") or tool.get("name")
        if isinstance(id, str) and 0 < len(id) <= _LONGEST_ID and isinstance(name, str) and name:
            given = function.get("arguments", function.get("parameters"))
            yield ToolCall(id, name, _object(given), _timeout(entry.get("server")))


def _within(outer: dict[str, Any], key: str) -> dict[str, Any]:
    inner = outer.get(key)
    return inner if isinstance(inner, dict) else outer


def _object(given: Any) -> dict[str, Any] | None:
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given) if given.strip() else None
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return None
    if given is None:
        return {}
    return given if isinstance(given, dict) and not _deeper(given, _DEEPEST) else None


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def _timeout(server: Any) -> float | None:
    seconds = server.get("timeoutSeconds") if isinstance(server, dict) else None
    return float(seconds) if isinstance(seconds, int | float) and 1 <= seconds <= 300 else None
