"""The function contract: `wakeline functions list | show | call NAME k=v | export`.

Exit status of `call`: 0 done, 1 the function refused or failed, 2 it was not called (arguments, name).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from device.config import Config
from device.functions.assembly import load_functions
from device.functions.backend import BACKEND_URL
from device.functions.contract import (
    BadArguments,
    FunctionCall,
    FunctionError,
    FunctionResult,
    IdReused,
    StillWorking,
    UnknownFunction,
    WrongOrigin,
)
from device.functions.export import FORMATS, for_export, properties_of
from device.functions.registry import FunctionSpec
from device.functions.schema import SlotSpec, expected_of
from device.secrets import Secrets

_NOT_CALLED: Final = (BadArguments, UnknownFunction, WrongOrigin, IdReused)
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_EXAMPLES: Final = """examples:
  wakeline functions list
  wakeline functions show bookAppointment
  wakeline functions call checkAvailability date=2026-12-04 time=19:00
  wakeline functions call bookAppointment date=2026-12-04 time=19:00 people=4 name="Ann Lee" --id order-17
  wakeline functions export --format vapi --out tools.json
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline functions`."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "functions",
        help="what can be called: list, show, call, export",
        description="The functions that the voice, a phone call and a program may call.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    sub = parser.add_subparsers(required=True, metavar="list|show|call|export", dest="what")
    listing = sub.add_parser("list", help="all of them, one a line")
    listing.add_argument("--json", action="store_true", help="with all their properties, as JSON")
    show = sub.add_parser("show", help="one with its arguments, questions and properties")
    show.add_argument("name", metavar="NAME", help="its name or alias")
    show.add_argument("--json", action="store_true", help="as JSON")
    call = sub.add_parser(
        "call",
        help="run one now, on the real book",
        description="Run a function as the staff: checked, recorded, once per id, as every other call.",
        epilog="exit status: 0 done, 1 refused or failed, 2 not called (name or arguments)",
    )
    call.add_argument("name", metavar="NAME", help="its name or alias")
    call.add_argument("arguments", nargs="*", metavar="k=v", help="as `wakeline functions show NAME` lists them")
    call.add_argument("--id", default="", help="the same id again runs nothing and prints the recorded result")
    call.add_argument("--json", action="store_true", help="the result as JSON")
    export = sub.add_parser("export", help="for an agent elsewhere, or as a page")
    export.add_argument("--format", choices=tuple(FORMATS), required=True, help="vapi: tools of an assistant")
    export.add_argument("--out", type=Path, metavar="FILE", help="into a file, not to the terminal")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    secrets = Secrets()
    if args.what == "call":
        return _call(args, config, secrets)
    registry = load_functions(config, secrets)
    if args.what == "show":
        spec = registry.get(args.name)
        print(_json(properties_of(spec)) if args.json else _page(spec))
    elif args.what == "export":
        made = FORMATS[args.format](for_export(registry), config)
        text = made.rstrip("\n") if isinstance(made, str) else _json(made)
        if args.out is None:
            print(text)
        else:
            args.out.write_text(text + "\n")
    elif args.json:
        print(_json([properties_of(spec) for spec in registry]))
    else:
        print("\n".join(_lines(tuple(registry))))
    if args.what == "list" and secrets.get(BACKEND_URL) and all(entry.url for entry in config.functions.values()):
        print(f"note: {BACKEND_URL} is set, and no [functions.NAME] uses it: see docs/functions.md", file=sys.stderr)
    return 0


# -- list and show --------------------------------------------------------------------------------------------------
def _lines(specs: Sequence[FunctionSpec]) -> list[str]:
    wide = max(len(spec.name) for spec in specs)
    return [
        f"{spec.name:{wide}}  {'effect' if spec.effect else 'read':6}  {spec.description}"
        + (f" (also {', '.join(spec.alias)})" if spec.alias else "")
        for spec in specs
    ]


def _page(spec: FunctionSpec) -> str:
    lines = [spec.name, f"  {spec.description}", ""]
    for slot in spec.slots:
        needed = "needed" if slot.required else "optional"
        lines.append(
            f"  {slot.name}: {expected_of(slot)}, {needed}" + (f". {slot.description}" * bool(slot.description))
        )
        lines.append(f'    asked: "{slot.question}"  again: "{slot.retry}"')
    lines += ["" if spec.slots else "  no arguments\n"]
    facts = {
        "also called": ", ".join(spec.alias),
        "changes something": "yes" if spec.effect else "no",
        "asked before": spec.confirm,
        "called from": ", ".join(spec.origins),
        "time budget": f"{spec.budget_s:g} s",
        "at once": str(spec.at_once or "any number"),
        "from": spec.source,
    }
    lines += [f"  {name + ':':19}{value}" for name, value in facts.items() if value]
    lines += ["", f"  {_usage(spec)}"]
    return "\n".join(lines)


def _usage(spec: FunctionSpec) -> str:
    words = [f"{slot.name}=..." if slot.required else f"[{slot.name}=...]" for slot in spec.slots]
    return " ".join(["wakeline functions call", spec.name, *words])


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


# -- call -----------------------------------------------------------------------------------------------------------
def _call(args: argparse.Namespace, config: Config, secrets: Secrets) -> int:
    from device.app import build  # the whole appliance: only this command needs it

    async def work() -> tuple[FunctionResult, FunctionSpec | None]:
        house = build(config, secrets)
        try:
            spec = house.registry.find(args.name)
            given = _given(args.arguments, spec.slots if spec else ())
            call = FunctionCall(args.id or f"staff-{uuid.uuid4().hex}", args.name, given, "staff")
            result = await house.runner.run(call)
            if isinstance(result.error, StillWorking):
                print("it takes a while...", file=sys.stderr)
                async for late in house.runner.late():
                    if late.call.id == call.id:
                        result = late.result
                        break
            return result, spec
        finally:
            await house.close()

    try:
        result, spec = asyncio.run(work())
    except BadArguments as error:
        result, spec = FunctionResult(args.id, error=error, sentence=error.sentence), None
    return _told(result, spec, as_json=args.json)


def _told(result: FunctionResult, spec: FunctionSpec | None, *, as_json: bool) -> int:
    error = result.error
    if as_json:
        print(_json(_result_json(result)))
    elif error is None:
        if result.sentence:
            print(result.sentence)
        print(_json(result.value))
        if result.replayed:
            print("note: this id was called before; nothing ran now", file=sys.stderr)
    elif isinstance(error, BadArguments):
        for problem in error.problems:
            print(
                f"wakeline: {error.code}: {problem.field}: expected {problem.expected}, got {problem.got}",
                file=sys.stderr,
            )
        if spec is not None:
            print(f"usage: {_usage(spec)}", file=sys.stderr)
    else:
        said = f"{error}" if isinstance(error, _NOT_CALLED) else result.sentence
        print(f"wakeline: {error.code}: {said}", file=sys.stderr)
    if error is None:
        return 0
    return 2 if isinstance(error, _NOT_CALLED) else 1


def _result_json(result: FunctionResult) -> dict[str, Any]:
    error = result.error
    if error is None:
        return {
            "id": result.id,
            "value": result.value,
            "sentence": result.sentence,
            "replayed": result.replayed,
        }
    told: dict[str, Any] = {"code": error.code, "sentence": result.sentence}
    if isinstance(error, BadArguments):
        told["problems"] = [{"field": p.field, "expected": p.expected, "got": p.got} for p in error.problems]
    return {"id": result.id, "error": told, "replayed": result.replayed}


def _given(words: Sequence[str], slots: Sequence[SlotSpec]) -> Mapping[str, Any]:
    """Values as the schema wants them; what cannot be read stays a text, and the check says what is wrong."""
    kinds = {slot.name: slot.kind for slot in slots}
    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name or name in given:
            raise _bad_word(word, name, twice=name in given)
        given[name] = _value(text, kinds.get(name, "text"))
    return given


def _bad_word(word: str, name: str, *, twice: bool) -> FunctionError:
    from device.functions.contract import Problem

    wanted = f"{name}=value once" if twice else "name=value"
    return BadArguments((Problem(name or "arguments", wanted, word),))


def _value(text: str, kind: str) -> Any:
    if kind == "boolean":
        return _BOOLEANS.get(text.casefold(), text)
    try:
        if kind in ("integer", "duration"):
            return int(text)
        number = float(text) if kind == "number" else math.nan
    except ValueError:
        return text
    return number if math.isfinite(number) else text
