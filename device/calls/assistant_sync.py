"""The assistant as it stands at Vapi: reads it, tells how ours differs, changes it. Owns what of theirs is kept.

`PATCH /assistant` replaces each top-level field whole. What somebody set in the dashboard beside our settings (a
voice's speed, a hook) is therefore sent along; what is ours entirely (server, tools, prompt) is replaced and shown.

AssistantError    code "vapi-key-missing"      no VAPI_API_KEY
                  code "vapi-unauthorized"     401, 403: the key is wrong, or a public one
                  code "vapi-not-found"        404: no assistant of this id
                  code "vapi-refused"          400, 422: the interface does not take it, and says why
                  code "vapi-busy"             429: ask again later
                  code "vapi-unreachable"      no connection, or no answer
                  code "vapi-failed"           anything else
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from device.calls.assistant import Assistant
from device.calls.vapi import USER_AGENT

# It logs every URL at INFO.
logging.getLogger("httpx").setLevel(logging.WARNING)

HIDDEN = "(hidden)"
_CODES = {
    400: "vapi-refused",
    401: "vapi-unauthorized",
    403: "vapi-unauthorized",
    404: "vapi-not-found",
    422: "vapi-refused",
    429: "vapi-busy",
}
_OURS = frozenset({"server", "serverMessages"})
"""Nothing of theirs is kept in these."""
_LONGEST = 600


class AssistantError(Exception):
    """Something a person can do about; the message says what."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Change:
    """What a push would do."""

    before: Assistant
    """Theirs, as far as ours says something about it."""
    after: Assistant

    @property
    def patch(self) -> Assistant:
        """The body of the request: only the top-level fields that differ."""
        return {key: value for key, value in self.after.items() if key not in self.before or self.before[key] != value}

    def text(self) -> str:
        """A unified difference of both, without secrets; empty when nothing is to do."""
        if not self.patch:
            return ""
        before, after = (_lines(hidden(each)) for each in (self.before, self.after))
        lines = list(difflib.unified_diff(before, after, "at Vapi", "configured", lineterm=""))
        # A secret that changed is hidden on both sides: the field is named anyhow.
        unseen = [key for key, value in self.patch.items() if hidden(value) == hidden(self.before.get(key))]
        return "\n".join([*lines, *(f"a hidden value in {key}" for key in unseen)])


def change(theirs: Mapping[str, Any], ours: Assistant) -> Change:
    """What is to do so that theirs says what ours says."""
    before = {key: _plain(theirs[key]) for key in ours if theirs.get(key) is not None}
    after = {key: _plain(_joined(key, before.get(key), value)) for key, value in ours.items()}
    for key in _OURS & before.keys():
        before[key] = _trimmed(before[key], after[key])
    return Change(before, after)


def hidden(value: Any) -> Any:
    """The same without the values of headers: they carry secrets."""
    if isinstance(value, dict):
        return {
            key: dict.fromkeys(each, HIDDEN) if key == "headers" and isinstance(each, dict) else hidden(each)
            for key, each in value.items()
        }
    return [hidden(each) for each in value] if isinstance(value, list) else value


class AssistantApi:
    """`/assistant` of the interface. Nothing is sent twice by itself."""

    def __init__(self, key: str, base_url: str, *, hide: tuple[str, ...] = (), timeout: float = 15.0) -> None:
        if not key:
            raise AssistantError("vapi-key-missing", "set VAPI_API_KEY, the private key of your account at Vapi")
        self._base = base_url.rstrip("/")
        self._hide = tuple(each for each in (key, *hide) if each)
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT}
        self._timeout = timeout

    def read(self, id: str) -> Assistant:
        return self._exchange("GET", f"/assistant/{quote(id, safe='')}")

    def create(self, assistant: Assistant) -> Assistant:
        return self._exchange("POST", "/assistant", assistant)

    def update(self, id: str, patch: Assistant) -> Assistant:
        return self._exchange("PATCH", f"/assistant/{quote(id, safe='')}", patch)

    def _exchange(self, method: str, path: str, body: Assistant | None = None) -> Assistant:
        try:
            answer = httpx.request(method, self._base + path, json=body, headers=self._headers, timeout=self._timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"{self._base} cannot be reached ({type(error).__name__}): is the network up?"
            if method == "POST" and isinstance(error, httpx.ReadError | httpx.ReadTimeout | httpx.RemoteProtocolError):
                why += " The assistant may exist all the same: look into the dashboard before you push again."
            raise AssistantError("vapi-unreachable", why) from None
        try:
            value = answer.json()
        except ValueError:
            value = None
        if not answer.is_success:
            raise self._refused(answer.status_code, value, path)
        if not isinstance(value, dict) or not isinstance(value.get("id"), str):
            raise AssistantError(
                "vapi-failed", f"Vapi answered {answer.status_code} with something that is no assistant"
            )
        return value

    def _refused(self, status: int, value: Any, path: str) -> AssistantError:
        said = value.get("message", "") if isinstance(value, dict) else ""
        text = " ".join(("; ".join(map(str, said)) if isinstance(said, list) else str(said)).split())
        for secret in self._hide:
            text = text.replace(secret, HIDDEN)
        hint = {
            401: " (VAPI_API_KEY must be the private key)",
            404: f" (there is no {path.removeprefix('/')}: look at VAPI_ASSISTANT_ID)",
        }.get(status, "")
        message = f"Vapi answered {status}" + (f": {text[:_LONGEST]}" if text else "") + hint
        return AssistantError(_CODES.get(status, "vapi-failed"), message)


def _joined(key: str, theirs: Any, ours: Any) -> Any:
    """Ours, with what theirs says beside it."""
    if key == "tools" and isinstance(theirs, list):
        return _tools(theirs, ours)
    both = isinstance(ours, dict) and isinstance(theirs, dict)
    if key in _OURS or not both or _another_engine(key, theirs, ours):
        return ours
    joined = {name: _joined(name, theirs.get(name), value) for name, value in ours.items()}
    return {name: value for name, value in theirs.items() if name not in ours} | joined


def _another_engine(key: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Another engine has other settings: nothing of the old one's is kept. A language model keeps its provider's."""
    told = ("provider",) if key == "model" else ("provider", "model")
    return any(name in ours and theirs.get(name) != ours[name] for name in told)


def _tools(theirs: list[Any], ours: list[Any]) -> list[Any]:
    """Our tools, each with what theirs of the same name says beside it (a plan for rejecting it)."""
    known = {_name(tool): tool for tool in theirs if isinstance(tool, dict)}
    joined = []
    for tool in ours:
        old = known.get(_name(tool), {})
        joined.append(
            old | tool | ({"function": old.get("function", {}) | tool["function"]} if "function" in tool else {})
        )
    return joined


def _name(tool: Mapping[str, Any]) -> tuple[str, str]:
    function = tool.get("function")
    return str(tool.get("type")), str(function.get("name")) if isinstance(function, dict) else ""


def _trimmed(theirs: Any, ours: Any) -> Any:
    """Theirs without what the interface fills in where nothing is set; a list without an order is sorted."""
    if isinstance(theirs, list):
        return sorted(theirs, key=str)
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return theirs
    told = {key: value for key, value in theirs.items() if key in ours or value not in ({}, [], False)}
    return {key: _trimmed(value, ours.get(key)) for key, value in told.items()}


def _plain(value: Any) -> Any:
    """JSON of one form: no null, 600 and not 600.0."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lines(value: Assistant) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
