"""The account at Vapi: `wakeline vapi assistant` (print, compare, push) and `wakeline vapi check`.

Exit status of `assistant --diff`: 0 nothing differs, 1 something does; of `--push`: 0 done or nothing to do, 1
declined; of `check`: 1 something needed is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from device.calls.assistant import SECRET_HEADER, Assistant, build_assistant, legacy_form
from device.calls.assistant_sync import AssistantApi, AssistantError, Change, change, hidden
from device.config import Config
from device.functions.assembly import load_functions
from device.secrets import Secrets
from device.web.signatures import split_secrets

_FAULT = 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline vapi`."""
    parser = subparsers.add_parser("vapi", help="the assistant at Vapi: print it, push it", description=__doc__)
    sub = parser.add_subparsers(required=True, metavar="WHAT", dest="what")
    assistant = sub.add_parser(
        "assistant",
        help="built from the configuration and the functions: print it, compare it, push it",
        description="The assistant, built from the configuration and the functions. Without options it is printed.",
    )
    doing = assistant.add_mutually_exclusive_group()
    doing.add_argument("--diff", action="store_true", help="what differs from the one at Vapi")
    doing.add_argument("--push", action="store_true", help="show what differs, ask, and change it (or create it)")
    doing.add_argument("--legacy", action="store_true", help="print it in the field names of 2024")
    assistant.add_argument("--yes", action="store_true", help="with --push: do not ask")
    assistant.add_argument("--json", action="store_true", help="JSON alone on the standard output")
    assistant.add_argument("--id", default="", metavar="ID", help="another assistant than the configured one")
    check = sub.add_parser("check", help="what is set up, and what does not work without the rest")
    check.add_argument("--json", action="store_true", help="JSON alone on the standard output")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    secrets = Secrets()
    try:
        return _check(args, config, secrets) if args.what == "check" else _assistant(args, config, secrets)
    except AssistantError as error:
        print(f"wakeline: {error.code}: {error}", file=sys.stderr)
        return _FAULT


# -- assistant ------------------------------------------------------------------------------------------------------
def _assistant(args: argparse.Namespace, config: Config, secrets: Secrets) -> int:
    secret = _secret(secrets)
    ours = build_assistant(config, load_functions(config, secrets), secret=secret)
    if not (args.diff or args.push):
        print(json.dumps(hidden(legacy_form(ours) if args.legacy else ours), indent=2, ensure_ascii=False))
        if not args.json:
            _hints(config, secrets)
        return 0
    id = args.id or secrets.get("VAPI_ASSISTANT_ID", config.vapi.assistant_id)
    api = AssistantApi(secrets.get("VAPI_API_KEY"), config.vapi.base_url, hide=(secret,))
    if not id and args.diff:
        raise AssistantError("vapi-no-assistant", "nothing to compare with: set VAPI_ASSISTANT_ID, or --push a new one")
    todo = change(api.read(id) if id else {}, ours)
    if args.diff:
        return _differs(args, id, todo)
    return _push(args, api, id, todo, ours)


def _differs(args: argparse.Namespace, id: str, todo: Change) -> int:
    if args.json:
        _report(id, todo, pushed=False)
    else:
        print(todo.text() or f"assistant {id} is as configured: nothing to change")
    return 1 if todo.patch else 0


def _push(args: argparse.Namespace, api: AssistantApi, id: str, todo: Change, ours: Assistant) -> int:
    say = sys.stderr if args.json else sys.stdout
    print(todo.text() or f"assistant {id} is as configured: nothing to change", file=say)
    if not todo.patch:
        if args.json:
            _report(id, todo, pushed=False)
        return 0
    if not args.yes and not _agreed(f"change assistant {id}?" if id else "create a new assistant?"):
        print("nothing was changed; --yes does not ask", file=sys.stderr)
        return 1
    if id:
        api.update(id, todo.patch)
        print(f"changed assistant {id}: {', '.join(todo.patch)}", file=say)
    else:
        id = api.create(ours)["id"]
        print(f"created assistant {id}", file=say)
        print(f'keep it: VAPI_ASSISTANT_ID={id} in .env, or assistant_id = "{id}" in [vapi]', file=say)
    if args.json:
        _report(id, todo, pushed=True)
    return 0


def _agreed(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _report(id: str, todo: Change, *, pushed: bool) -> None:
    report = {"id": id, "changed": sorted(todo.patch), "pushed": pushed, "patch": hidden(todo.patch)}
    print(json.dumps(report, indent=2, ensure_ascii=False))


def _secret(secrets: Secrets) -> str:
    """The newest one, where several are accepted."""
    return next(iter(split_secrets(secrets.get("VAPI_SERVER_SECRET"), secrets.get("VAPI_WEBHOOK_SECRET"))), "")


# -- check ----------------------------------------------------------------------------------------------------------
def _check(args: argparse.Namespace, config: Config, secrets: Secrets) -> int:
    rows = _rows(config, secrets)
    missing = [row for row in rows if not row["set"] and row["needed"]]
    if args.json:
        print(json.dumps({"ready": not missing, "settings": rows}, indent=2))
    else:
        for row in rows:
            mark = "set" if row["set"] else "MISSING" if row["needed"] else "not set"
            print(f"{mark:8} {row['name']:28} {row['value'] if row['set'] else row['without']}")
        print("ready" if not missing else f"{len(missing)} missing: {', '.join(row['name'] for row in missing)}")
    return 1 if missing else 0


def _rows(config: Config, secrets: Secrets) -> list[dict[str, Any]]:
    credential = config.assistant.credential_id
    assistant = secrets.get("VAPI_ASSISTANT_ID", config.vapi.assistant_id)
    number = secrets.get("VAPI_PHONE_NUMBER_ID", config.vapi.phone_number_id)
    header_taken = "x-vapi-secret" in config.web.schemes
    by_header = f"webhooks carry {SECRET_HEADER}, which has no time in it; a credential of the type hmac is better"
    unsigned = "webhooks carry nothing that web.schemes accepts: they are refused"
    return [
        _row("VAPI_API_KEY", "(hidden)" if secrets.get("VAPI_API_KEY") else "", "no calls, no --diff, no --push"),
        _row("VAPI_ASSISTANT_ID", assistant, "no calls to people; --push creates an assistant"),
        _row("VAPI_PHONE_NUMBER_ID", number, "no calls to people through Vapi", needed=False),
        _row("VAPI_SERVER_SECRET", "(hidden)" if _secret(secrets) else "", "the public port stays closed"),
        _row("web.base_url", config.web.base_url, "the assistant has no server: it cannot call functions"),
        _row(
            "assistant.credential_id",
            credential,
            by_header if header_taken else unsigned,
            needed=not header_taken,
        ),
        _row("assistant.transfer_to", config.assistant.transfer_to, "nobody to put a caller through to", needed=False),
        _row("vapi.base_url", config.vapi.base_url, "", needed=False),
    ]


def _row(name: str, value: str, without: str, *, needed: bool = True) -> dict[str, Any]:
    return {"name": name, "set": bool(value), "needed": needed, "value": value, "without": without}


def _hints(config: Config, secrets: Secrets) -> None:
    for row in _rows(config, secrets):
        if not row["set"] and row["name"] in ("web.base_url", "VAPI_SERVER_SECRET"):
            print(f"note: {row['name']} is not set: {row['without']}", file=sys.stderr)
