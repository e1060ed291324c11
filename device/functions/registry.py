"""Which functions there are: the `@function` decorator, the builtin ones and the user's own Python files."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar

from pydantic.alias_generators import to_camel

from device.functions.context import Context
from device.functions.contract import ArgumentsTooLarge, BadArguments, Origin, Problem, UnknownFunction
from device.functions.problems import nearest, shown
from device.functions.schema import Schema, SchemaError, SlotSpec, schema_of, too_large

EVERYWHERE: Final[tuple[Origin, ...]] = ("voice", "text", "call", "web", "staff")
LONGEST_NAME: Final = 64
LONGEST_DESCRIPTION: Final = 999
BUILTIN: Final = ("clock_functions", "timer_functions", "appointments", "changes", "volume")
_MARK = "__wakeline_function__"
_CONTEXT = "ctx"
_log = logging.getLogger("wakeline.functions")

F = TypeVar("F", bound=Callable[..., Any])
Handler = Callable[[Context, Mapping[str, Any]], Any]
"""Takes checked arguments by parameter name; its answer, or an awaitable of it, is an `Outcome`, a mapping or a
sentence."""


class Backing(Protocol):
    """Functions that are not Python: the HTTP backends of the configuration."""

    def specs(self, find: Callable[[str], FunctionSpec | None]) -> Iterable[FunctionSpec]:
        """Each takes the place of whatever has one of its names; `find` knows the functions there are before."""
        ...

    async def close(self) -> None: ...


class FunctionFileBroken(Exception):
    """A file with functions cannot be used; the message names it and says why."""

    code = "function-file-broken"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function of the contract."""

    name: str
    """As the caller sees it (camelCase)."""
    description: str
    """First paragraph of the docstring."""
    schema: Schema
    handler: Handler
    alias: tuple[str, ...] = ()
    effect: bool = False
    """It changes something: never run ahead, kept in order, recorded until it was heard."""
    confirm: str = ""
    """Asked before it runs, with {slot} in it and [parts left out without their slot]; empty: it runs at once."""
    origins: tuple[Origin, ...] = EVERYWHERE
    budget_s: float = 4.0
    """Longer: answered "still working", and the result is told later."""
    at_once: int = 0
    """So many of it run side by side; 0 is no limit."""
    is_async: bool = False
    source: str = ""
    """The module or file it comes from."""

    @property
    def slots(self) -> tuple[SlotSpec, ...]:
        """In the order in which to ask."""
        return self.schema.slots

    @property
    def json_schema(self) -> dict[str, Any]:
        """Of the arguments."""
        return self.schema.json_schema

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Python values by parameter name; raises `BadArguments` that names every field."""
        large = too_large(arguments)
        if large is not None:
            raise ArgumentsTooLarge((large,))
        values, problems = self.schema.check(arguments)
        if problems:
            raise BadArguments(problems)
        return values

    def problems(self, arguments: Mapping[str, Any]) -> tuple[Problem, ...]:
        """What does not fit, without raising."""
        return self.schema.check(arguments)[1]

    def missing(self, arguments: Mapping[str, Any]) -> tuple[SlotSpec, ...]:
        """Required slots without a value, in the order in which to ask."""
        return self.schema.missing(arguments)


def function(
    *,
    alias: tuple[str, ...] = (),
    effect: bool = False,
    confirm: str = "",
    origins: tuple[Origin, ...] = EVERYWHERE,
    budget_s: float = 4.0,
    at_once: int = 0,
) -> Callable[[F], F]:
    """Make a typed, documented Python function callable by voice, text, call and web. It stays a plain function.

    Its properties are those of `FunctionSpec`.
    """

    def mark(written: F) -> F:
        spec = _spec(
            written,
            alias=alias,
            effect=effect,
            confirm=confirm,
            origins=origins,
            budget_s=budget_s,
            at_once=at_once,
        )
        setattr(written, _MARK, spec)
        return written

    return mark


def spec_of(written: Callable[..., Any]) -> FunctionSpec:
    """The spec of a decorated function."""
    spec = getattr(written, _MARK, None)
    if not isinstance(spec, FunctionSpec):
        raise SchemaError(f"{written!r} has no @function() above it")
    return spec


def _spec(
    written: Callable[..., Any],
    *,
    alias: tuple[str, ...],
    effect: bool,
    confirm: str,
    origins: tuple[Origin, ...],
    budget_s: float,
    at_once: int,
) -> FunctionSpec:
    description = " ".join((inspect.getdoc(written) or "").split("\n\n")[0].split())
    if not description:
        raise SchemaError(f"{written.__name__} has no docstring: callers need to know what it does")
    if len(written.__name__) > LONGEST_NAME or len(description) > LONGEST_DESCRIPTION:
        raise SchemaError(
            f"{written.__name__}: a name has at most {LONGEST_NAME} characters, and the first paragraph of the "
            f"docstring {LONGEST_DESCRIPTION}: models take no more"
        )
    if budget_s <= 0 or not set(origins) <= set(EVERYWHERE) or at_once < 0:
        raise SchemaError(
            f"{written.__name__}: budget_s must be positive, at_once not negative, and origins some of "
            f"{', '.join(EVERYWHERE)}"
        )
    wants_context = _CONTEXT in inspect.signature(written).parameters

    def handler(ctx: Context, arguments: Mapping[str, Any]) -> Any:
        return written(ctx=ctx, **arguments) if wants_context else written(**arguments)

    return FunctionSpec(
        name=to_camel(written.__name__),
        description=description,
        schema=schema_of(written, skip=frozenset({_CONTEXT})),
        handler=handler,
        alias=alias,
        effect=effect,
        confirm=confirm,
        origins=origins,
        budget_s=budget_s,
        at_once=at_once,
        is_async=inspect.iscoroutinefunction(written),
        source=written.__module__,
    )


class Registry:
    """The functions by name and alias."""

    def __init__(self, functions: Iterable[FunctionSpec], backends: Backing | None = None) -> None:
        self._backends = backends
        self._functions: dict[str, FunctionSpec] = {}
        self._names: dict[str, str] = {}
        for spec in functions:
            self._add(spec)

    @classmethod
    def load(cls, dirs: Iterable[Path] = (), backends: Backing | None = None) -> Registry:
        """The builtin functions, those of every `*.py` in `dirs`, and those of `backends`.

        A user's function replaces a builtin one, and one behind a backend replaces either.
        """
        registry = cls((spec for name in BUILTIN for spec in _functions_in(_builtin(name))), backends)
        own: dict[str, Path] = {}
        for path in (path for folder in dirs for path in sorted(folder.glob("*.py"))):
            for spec in _functions_in(_user_module(path)):
                for name in (spec.name, *spec.alias):
                    if own.setdefault(name, path) != path:
                        raise FunctionFileBroken(path, f"there is another function {name} in {own[name]}")
                if len({spec.name, *spec.alias}) <= len(spec.alias):
                    raise FunctionFileBroken(path, f"{spec.name}: one of its aliases is there twice, or its name")
                registry._replace(spec)
        for spec in list(backends.specs(registry.find)) if backends is not None else ():
            registry._replace(spec)
        return registry

    def get(self, name: str) -> FunctionSpec:
        """By name or alias; raises `UnknownFunction`."""
        known = self.find(name)
        if known is None:
            meant = nearest(name, tuple(self._names))
            raise UnknownFunction(f"no function {shown(name)}" + (f"; did you mean {meant}?" if meant else ""))
        return known

    def find(self, name: str) -> FunctionSpec | None:
        """The same, or None."""
        return self._functions.get(self._names.get(name, ""))

    async def close(self) -> None:
        """Close the connections to backends."""
        if self._backends is not None:
            await self._backends.close()

    def for_origin(self, origin: Origin) -> tuple[FunctionSpec, ...]:
        """What may be called from there."""
        return tuple(spec for spec in self if origin in spec.origins)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[FunctionSpec]:
        return iter(self._functions.values())

    def __len__(self) -> int:
        return len(self._functions)

    def _add(self, spec: FunctionSpec) -> None:
        for name in (spec.name, *spec.alias):
            if name in self._names:
                raise SchemaError(f"two functions are called {name}: in {spec.source} and {self.get(name).source}")
            self._names[name] = spec.name
        self._functions[spec.name] = spec

    def _replace(self, spec: FunctionSpec) -> None:
        for name in (spec.name, *spec.alias):
            old = self._functions.pop(self._names.get(name, ""), None)
            if old is not None:
                _log.info("%s from %s replaces the one from %s", old.name, spec.source, old.source)
                self._names = {key: value for key, value in self._names.items() if value != old.name}
        self._add(spec)


def _builtin(name: str) -> ModuleType:
    return importlib.import_module(f"device.functions.{name}")


def _user_module(path: Path) -> ModuleType:
    name = f"wakeline_functions_{path.stem}"
    loading = importlib.util.spec_from_file_location(name, path)
    if loading is None or loading.loader is None:
        raise FunctionFileBroken(path, "is no Python file")
    module = importlib.util.module_from_spec(loading)
    sys.modules[name] = module  # annotations are resolved through it
    try:
        loading.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise FunctionFileBroken(path, _where(path, error)) from error
    if not any(True for _ in _functions_in(module)):
        _log.warning("%s has no function with @function() above it", path)
    return module


def _where(path: Path, error: BaseException) -> str:
    """The cause with the line of the user's file, without a traceback through ours."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    return (f"line {line}: " if line else "") + f"{type(error).__name__}: {what}"


def _functions_in(module: ModuleType) -> Iterator[FunctionSpec]:
    for written in vars(module).values():
        spec = getattr(written, _MARK, None)
        if isinstance(spec, FunctionSpec) and spec.source == module.__name__:
            yield spec
