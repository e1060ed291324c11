"""What an author's function gives back or raises, made into an outcome or a typed error."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from typing import Any

from device.functions.context import Context, Outcome
from device.functions.contract import FunctionError
from device.functions.registry import FunctionSpec

_log = logging.getLogger("wakeline.functions")


def guarded(spec: FunctionSpec, ctx: Context, arguments: Mapping[str, Any]) -> Any:
    """Its answer; whatever it raises is a `FunctionError`."""
    try:
        answer = spec.handler(ctx, arguments)
    except FunctionError:
        raise
    except BaseException as error:  # also SystemExit: it would end the loop
        raise _own_failure(spec, error) from error
    if inspect.isawaitable(answer):
        raise FunctionError(f"{spec.name} is not declared async and returns something to await")
    return answer


async def guarded_async(spec: FunctionSpec, ctx: Context, arguments: Mapping[str, Any]) -> Any:
    """The same of an async function."""
    try:
        return await spec.handler(ctx, arguments)
    except FunctionError:
        raise
    except (Exception, SystemExit) as error:
        raise _own_failure(spec, error) from error


def outcome_of(spec: FunctionSpec, answer: Any) -> Outcome:
    """Whatever an author may return: an Outcome, a JSON object, a sentence, or nothing."""
    if answer is None:
        outcome = Outcome({})
    elif isinstance(answer, str):
        outcome = Outcome({"sentence": answer}, answer)
    elif isinstance(answer, Mapping):
        outcome = Outcome(answer)
    elif isinstance(answer, Outcome):
        outcome = answer
    else:
        raise FunctionError(f"{spec.name} returned {type(answer).__name__}, not an Outcome, a mapping or a sentence")
    try:
        # What is answered now is what is answered again later: the same JSON.
        value = json.loads(json.dumps(dict(outcome.value), allow_nan=False))
        outcome.sentence.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FunctionError(f"{spec.name} returned what is no JSON: {type(error).__name__}") from error
    return Outcome(value, outcome.sentence)


def _own_failure(spec: FunctionSpec, error: BaseException) -> FunctionError:
    # Its text may hold what people said, so only its type is told.
    _log.warning("%s raised %s", spec.name, type(error).__name__)
    return FunctionError(type(error).__name__)
