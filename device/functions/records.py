"""Calls and their records: what may be called, whether an id belongs to this call, and the result that is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, cast

from device.functions.contract import (
    BackendFailed,
    BackendUnavailable,
    BadArguments,
    FunctionCall,
    FunctionError,
    FunctionResult,
    FunctionTimedOut,
    IdReused,
    Origin,
    Problem,
    Refused,
    StillWorking,
    WrongOrigin,
)
from device.functions.problems import shown
from device.functions.registry import FunctionSpec, Registry
from device.functions.store import RecordedCall, Store, Writing

LONGEST_KEY = 200
State = Literal["running", "done", "refused", "failed"]


def accepted(registry: Registry, call: FunctionCall) -> FunctionSpec:
    """The function of a call whose keys fit the store and which may come from there."""
    _check_key("id", call.id)
    _check_key("session", call.session or "-")
    spec = registry.get(call.name)
    if call.origin not in spec.origins:
        raise WrongOrigin(f"{spec.name} may not be called from {call.origin}")
    return spec


def same_call(spec: FunctionSpec, call: FunctionCall, arguments: Mapping[str, Any], name: str) -> None:
    """Raises `IdReused` when the id belongs to another function or to other arguments."""
    if name != spec.name or _canonical(arguments) != _canonical(call.arguments):
        raise IdReused(f"{call.id} is the id of another call")


def known(
    store: Store, id: str, spec: FunctionSpec | None = None, call: FunctionCall | None = None
) -> FunctionResult | None:
    """The recorded result of an id, which must be that of this call if one is given."""
    with store.glance() as reading:
        record = reading.function_call(id)
    if record is None:
        return None
    if spec is not None and call is not None:
        same_call(spec, call, record.arguments, record.name)
    return result_of(record)


def result_of(record: RecordedCall) -> FunctionResult:
    if record.state == "running":
        return failed(record.id, StillWorking(record.id))
    if not record.error_code:
        return FunctionResult(record.id, value=record.value, sentence=record.sentence, replayed=True)
    error = _error(record.error_code, record.sentence)
    return FunctionResult(record.id, error=error, sentence=record.sentence, replayed=True)


def failed(id: str, error: FunctionError) -> FunctionResult:
    return FunctionResult(id, error=error, sentence=error.sentence)


def record_of(call: FunctionCall, name: str, result: FunctionResult, at: datetime) -> RecordedCall:
    """The row of a result; `name` is the function's own, whatever alias it was called by."""
    error = result.error
    if isinstance(error, StillWorking):
        return RecordedCall(call.id, name, call.arguments, call.origin, call.session, "running", None, "", "", at)
    state: State = "done" if error is None else "refused" if isinstance(error, Refused) else "failed"
    return RecordedCall(
        id=call.id,
        name=name,
        arguments=call.arguments,
        origin=call.origin,
        session=call.session,
        state=state,
        value=result.value,
        error_code="" if error is None else error.code,
        sentence=result.sentence,
        created=at,
    )


def keep(record: RecordedCall, *, spoken_later: bool = False) -> Callable[[Writing], bool]:
    """The change that records it; False when the end of this call is recorded already, which then stays."""

    def change(store: Writing) -> bool:
        known = store.function_call(record.id)
        if known is not None and known.state != "running":
            return False
        store.record_function_call(record)
        if spoken_later and record.sentence:
            store.add_unheard(record.id, record.sentence, record.created)
        return True

    return change


def call_of(record: RecordedCall) -> FunctionCall:
    return FunctionCall(record.id, record.name, record.arguments, cast(Origin, record.origin), record.session)


def _check_key(field: str, key: str) -> None:
    """An id comes from outside: it must fit the store."""
    if not key or len(key) > LONGEST_KEY or not key.isprintable():
        raise BadArguments((Problem(field, f"1 to {LONGEST_KEY} printable characters", shown(key)),))


def _canonical(arguments: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(arguments), sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return ""  # refused by the schema's check


def _error(code: str, sentence: str) -> FunctionError:
    """An error of the same type as the first time."""
    for kind in (FunctionTimedOut, BackendFailed, BackendUnavailable, FunctionError):
        if code == kind.code:
            return kind(sentence=sentence)
    return Refused(code, sentence)
