"""Functions behind an HTTP backend: an entry `[functions.NAME]` of the configuration becomes a `FunctionSpec`.

An entry with the name (or an alias) of a Python function takes its place: parameters, questions and properties stay
unless the entry has its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from device.config import ConfigError
from device.functions.context import Context, Outcome
from device.functions.contract import BackendFailed
from device.functions.exchange import Ask, Exchange
from device.functions.json_schema import schema_of_parameters
from device.functions.mapping import IN_PATH, json_value, result_of_answer, target_of
from device.functions.problems import nearest
from device.functions.registry import EVERYWHERE, FunctionSpec, Handler
from device.functions.schema import Schema, SchemaError
from device.functions.template import filled, names_in, one_line, plain_sentence
from device.secrets import Secrets
from device.settings import BackendSection

T = TypeVar("T")

BACKEND_URL: Final = "BACKEND_URL"
_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "host", "idempotency-key", "accept-encoding"})
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
_BUDGET_S: Final = 4.0
_AT_HOME = (".localhost", ".local", ".lan", ".internal", ".home.arpa")
_PLAIN_KEY = "!#$&'()*+,/:;=?@[]"
"""Beside letters and digits, what stays as it is in an Idempotency-Key."""


class Backends:
    """The entries of the configuration, with the connections and breakers that their functions share."""

    def __init__(
        self, sections: Mapping[str, BackendSection], secrets: Secrets, *, exchange: Exchange | None = None
    ) -> None:
        self._sections = sections
        self._secrets = secrets
        self._exchange = exchange or Exchange()

    def specs(self, find: Callable[[str], FunctionSpec | None]) -> Iterable[FunctionSpec]:
        """Their functions; `find` knows those from Python.

        Raises:
            ConfigError: an entry cannot be used; the message names it and says what to change.
        """
        claimed: dict[str, str] = {}
        specs = []
        for name, section in self._sections.items():
            spec = self._spec(name, section, find(name))
            for known in (spec.name, *spec.alias):
                if claimed.setdefault(known, name) != name:
                    raise _fault(name, f"{known} is also what [functions.{claimed[known]}] is called")
            specs.append(spec)
        return specs

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    def _spec(self, name: str, section: BackendSection, python: FunctionSpec | None) -> FunctionSpec:
        if not _NAME.fullmatch(name):
            raise _fault(name, "a name has letters, digits, _ and -, at most 64, a letter first")
        schema = _schema(name, section, python)
        base = self._base(name, section)
        _check(name, section, schema)
        effect = _first(section.effect, None if python is None else python.effect, True)
        description = one_line(section.description) or (python.description if python else "")
        if not description:
            raise _fault(name, "needs a description: it is how callers choose")
        names = (name, *section.alias, *((python.name, *python.alias) if python else ()))
        called = python.name if python else name
        return FunctionSpec(
            name=called,
            description=description,
            schema=schema,
            handler=self._handler(called, section, schema, base, self._headers(name, section), effect=effect),
            alias=tuple(dict.fromkeys(other for other in names if other != called)),
            effect=effect,
            confirm=section.confirm or (python.confirm if python else ""),
            origins=_first(section.origins, None if python is None else python.origins, EVERYWHERE),
            budget_s=_first(section.budget_s, None if python is None else python.budget_s, _BUDGET_S),
            at_once=_first(section.at_once, None if python is None else python.at_once, 0),
            is_async=True,
            source=f"{section.method} {_shown(base)}{section.path}",
        )

    def _handler(
        self,
        name: str,
        section: BackendSection,
        schema: Schema,
        base: str,
        headers: Mapping[str, str],
        *,
        effect: bool,
    ) -> Handler:
        async def handler(ctx: Context, arguments: Mapping[str, Any]) -> Outcome:
            given = {schema.name_of(parameter): json_value(value) for parameter, value in arguments.items()}
            target = target_of(section.method, section.path, section.arguments, given)
            sent = dict(headers)
            if target.body is not None:
                sent["Content-Type"] = "application/json"
            if effect:
                sent["Idempotency-Key"] = quote(ctx.call_id, safe=_PLAIN_KEY)
            answer = await self._exchange.ask(
                Ask(
                    function=name,
                    method=section.method,
                    url=base + target.path,
                    headers=sent,
                    body=target.body,
                    timeout_s=section.timeout_s,
                    retries=section.retries,
                    repeatable=not effect or section.idempotent,
                )
            )
            return _outcome(name, section, {} if answer is None else answer, given)

        return handler

    def _base(self, name: str, section: BackendSection) -> str:
        written = self._filled(name, "url", section.url) or self._secrets.get(BACKEND_URL)
        if not written:
            raise _fault(name, f"needs url, or {BACKEND_URL} in the environment, .env or a credential")
        base = written.rstrip("/")
        # The address may hold a password, so it stays out of every message.
        try:
            parts = urlsplit(base)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise _fault(name, "its url is no address") from error
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise _fault(name, "its url is written like https://backend.example.org/api, without ? and #")
        if not base.isascii() or not base.isprintable() or " " in base:
            raise _fault(name, "its url has characters that no address has")
        if section.url and "${" not in section.url and parts.password:
            raise _fault(name, f"a password stands in its url: secrets are read from {BACKEND_URL} or ${{NAME}}")
        if parts.scheme == "http" and not _at_home(host):
            raise _fault(name, f"{host} is out in the world: use https, http is for this device and the house")
        return base

    def _headers(self, name: str, section: BackendSection) -> Mapping[str, str]:
        found = {}
        for header, written in section.headers.items():
            if not _HEADER.fullmatch(header) or header.lower() in _OURS:
                raise _fault(name, f"headers.{header}: not a header that can be set")
            if header.lower() in _CREDENTIALS and not _SECRET.search(written):
                raise _fault(name, f"headers.{header}: a secret never stands in this file: write ${{NAME}}")
            value = self._filled(name, f"headers.{header}", written)
            if not (value.isascii() and value.isprintable()):
                raise _fault(name, f"headers.{header}: its value has characters that no header has")
            found[header] = value
        return found

    def _filled(self, name: str, where: str, written: str) -> str:
        def secret(found: re.Match[str]) -> str:
            value = self._secrets.get(found[1])
            if not value:
                raise _fault(name, f"{where}: {found[1]} is not set (in the environment, .env or a credential)")
            return value

        return _SECRET.sub(secret, written)


def _first(own: T | None, python: T | None, usual: T) -> T:
    """What the entry says, else what the Python function of its name says."""
    if own is not None:
        return own
    return usual if python is None else python


def _outcome(name: str, section: BackendSection, answer: Any, given: Mapping[str, Any]) -> Outcome:
    try:
        value = result_of_answer(answer, section.result)
    except LookupError as error:
        raise BackendFailed(f"{name}: its backend's answer has {error}") from None
    if section.sentence:
        sentence = filled(section.sentence, {**given, **value})
    else:
        said = answer.get("sentence") if isinstance(answer, Mapping) else None
        sentence = one_line(said) if isinstance(said, str) else ""
    return Outcome(value, sentence or plain_sentence(value))


def _schema(name: str, section: BackendSection, python: FunctionSpec | None) -> Schema:
    if python is not None and not section.parameters:
        if section.required:
            raise _fault(name, f"required goes with parameters; those of {python.name} say it themselves")
        return python.schema
    try:
        return schema_of_parameters(name, section.parameters, section.required)
    except SchemaError as error:
        raise _fault(name, str(error)) from error


def _check(name: str, section: BackendSection, schema: Schema) -> None:
    """Every name in the entry is one that exists."""
    arguments = tuple(slot.name for slot in schema.slots)
    path = urlsplit(section.path)
    if not section.path.startswith("/") or section.path.startswith("//") or path.fragment or " " in section.path:
        raise _fault(name, f"path {section.path!r} begins with one / and has no # or space")
    if re.search(r"[{}]", IN_PATH.sub("", section.path)):
        raise _fault(name, f"path {section.path!r}: an argument is written {{name}}")
    try:
        said = names_in(section.sentence)
        asked = names_in(section.confirm)
    except ValueError as error:
        raise _fault(name, f"sentence, confirm: {error}") from error
    used = {"path": IN_PATH.findall(section.path), "arguments": section.arguments, "confirm": asked}
    for where, names in used.items():
        for each in names:
            if each not in arguments:
                meant = nearest(each, arguments)
                raise _fault(name, f"{where}: no argument {each}" + (f"; did you mean {meant}?" if meant else ""))
    sent = [section.arguments.get(each, each) for each in arguments]
    if len(set(sent)) < len(sent):
        raise _fault(name, "arguments: two of them go under one name")
    for each in sorted(said) if section.result else ():
        if each not in arguments and each not in section.result:
            raise _fault(name, f"sentence: {each} is neither in result nor an argument")
    if not section.path.isascii() or any(not step for step in section.result.values()):
        raise _fault(name, "path is ASCII, and no entry of result is empty")


def _at_home(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host or host.endswith(_AT_HOME)
    return address.is_loopback or address.is_private or address.is_link_local


def _shown(base: str) -> str:
    """The address without a name and password in it."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _fault(name: str, what: str) -> ConfigError:
    return ConfigError("config-invalid", f"[functions.{name}]: {what}")
