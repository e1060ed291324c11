"""The functions in the forms that others read: Vapi's tools, OpenAI's tools, JSON Schema, a page for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from device.config import Config
from device.functions.registry import FunctionSpec, Registry
from device.functions.schema import SlotSpec, expected_of

VAPI_PATH: Final = "/webhook/vapi"
_SERVER_TIMEOUT_S: Final = 20
_DELAYED_MS: Final = 4000
_DELAYED: Final = "I'm still on it, one moment."
_VAPI_KEYS: Final = ("type", "description", "pattern", "format", "enum")
"""What Vapi's own schema of a parameter knows; it says nothing about the rest of JSON Schema."""


def for_export(registry: Registry) -> tuple[FunctionSpec, ...]:
    """Those that somebody outside may call."""
    return tuple(spec for spec in registry if {"call", "web"} & set(spec.origins))


def vapi_tool(spec: FunctionSpec) -> dict[str, Any]:
    """A tool of an assistant, which has the server; what is said meanwhile is set in the dashboard."""
    return {"type": "function", "async": False, "function": vapi_function(spec)}


def vapi_tool_alone(spec: FunctionSpec, server: Mapping[str, Any] | None) -> dict[str, Any]:
    """A tool for an assistant that is not ours: with our server and something to say while it takes long.

    It has no message for a failure: Vapi would say that instead of the function's own sentence.
    """
    delayed = {"type": "request-response-delayed", "content": _DELAYED, "timingMilliseconds": _DELAYED_MS}
    return {**vapi_tool(spec), **({"server": dict(server)} if server else {}), "messages": [delayed]}


def vapi_function(spec: FunctionSpec) -> dict[str, Any]:
    """An entry of the legacy `model.functions`, and the `function` of a tool."""
    schema = spec.json_schema
    properties = {
        name: {key: each[key] for key in _VAPI_KEYS if key in each} for name, each in schema["properties"].items()
    }
    parameters = {"type": "object", "properties": properties, "required": list(schema.get("required", ()))}
    return {"name": spec.name, "description": spec.description, "parameters": parameters}


def openai_tool(spec: FunctionSpec) -> dict[str, Any]:
    """A tool of a chat completion."""
    return {
        "type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": spec.json_schema},
    }


def json_schema(functions: Iterable[FunctionSpec]) -> dict[str, Any]:
    """One document with the arguments of every function."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {spec.name: {"description": spec.description, **spec.json_schema} for spec in functions},
    }


def vapi_server(config: Config) -> dict[str, Any] | None:
    """Our public address as a tool names it; no secret stands in it."""
    if not config.web.base_url:
        return None
    server: dict[str, Any] = {
        "url": config.web.base_url.rstrip("/") + VAPI_PATH,
        "timeoutSeconds": _SERVER_TIMEOUT_S,
        "backoffPlan": {"type": "exponential", "maxRetries": 3, "baseDelaySeconds": 1},
    }
    if config.assistant.credential_id:
        server["credentialId"] = config.assistant.credential_id
    return server


def properties_of(spec: FunctionSpec) -> dict[str, Any]:
    """Everything about a function but its code."""
    return {
        "name": spec.name,
        "alias": list(spec.alias),
        "description": spec.description,
        "effect": spec.effect,
        "confirm": spec.confirm,
        "origins": list(spec.origins),
        "budget_s": spec.budget_s,
        "at_once": spec.at_once,
        "source": spec.source,
        "questions": {slot.name: {"question": slot.question, "retry": slot.retry} for slot in spec.slots},
        "parameters": spec.json_schema,
    }


def markdown(functions: Iterable[FunctionSpec]) -> str:
    """A page about them."""
    return "# Functions\n\n" + "\n".join(_section(spec) for spec in functions)


def _section(spec: FunctionSpec) -> str:
    limit = str(spec.at_once) if spec.at_once else "any number"
    lines = [f"## {spec.name}", "", spec.description, ""]
    if spec.slots:
        lines += ["| argument | what it is | needed | asked as |", "|---|---|---|---|"]
        lines += [_row(spec, slot) for slot in spec.slots]
    else:
        lines.append("No arguments.")
    lines += [
        "",
        f"- {'Changes something' if spec.effect else 'Changes nothing'}; may be called from {', '.join(spec.origins)}.",
        f"- Answers within {spec.budget_s:g} s, or says that it still works; {limit} at once.",
    ]
    if spec.alias:
        lines.append(f"- Also called {', '.join(spec.alias)}.")
    if spec.confirm:
        lines.append(f"- Asked before: {_cell(spec.confirm)}")
    return "\n".join([*lines, f"- From {spec.source}.", ""])


def _row(spec: FunctionSpec, slot: SlotSpec) -> str:
    schema = spec.json_schema["properties"][slot.name]
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    what = ", ".join(filter(None, (slot.description.rstrip("."), expected_of(slot), *bounds)))
    needed = (
        "yes" if slot.required else f"no ({schema['default']})" if schema.get("default") not in (None, "") else "no"
    )
    return f"| {slot.name} | {_cell(what)} | {_cell(needed)} | {_cell(slot.question)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


_BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "shortest",
    "maxLength": "longest",
}

FORMATS: Final[Mapping[str, Callable[[tuple[FunctionSpec, ...], Config], Any]]] = {
    "vapi": lambda specs, config: [
        vapi_tool_alone(spec, vapi_server(config)) for spec in specs if "call" in spec.origins
    ],
    "vapi-legacy": lambda specs, config: [vapi_function(spec) for spec in specs if "call" in spec.origins],
    "openai": lambda specs, config: [openai_tool(spec) for spec in specs],
    "jsonschema": lambda specs, config: json_schema(specs),
    "markdown": lambda specs, config: markdown(specs),
}
"""What can be written: text as it is, everything else as JSON."""
