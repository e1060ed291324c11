"""What Vapi is answered: owns the exact form of each answer whose body Vapi reads. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from device.calls.assistant import destination
from device.functions.contract import BadArguments, FunctionResult, Problem, StillWorking
from device.web.vapi_tools import ToolCall

Poll = Callable[[str], Mapping[str, Any]]
"""How the result of a tool call can be had later, by its id."""

NO_TRANSFER = "Sorry, there is nobody I can connect you to right now."
NO_ASSISTANT = "Sorry, nobody can take your call right now. Please call again later."
_LONGEST = 100_000


def tool_results(calls: Sequence[ToolCall], results: Sequence[FunctionResult], poll: Poll) -> dict[str, Any]:
    """The answer to `tool-calls`: one entry for each call, in its order, with texts of one line."""
    return {"results": [_entry(call, result, poll) for call, result in zip(calls, results, strict=True)]}


def legacy_result(call: ToolCall, result: FunctionResult, poll: Poll) -> dict[str, Any]:
    """The answer to `function-call`: the value as it is; a failure is a sentence to say."""
    if result.error is None:
        return {"result": result_text(result) if _only_sentence(result) else dict(result.value or {})}
    answer: dict[str, Any] = {"result": failure_text(result)}
    return answer | ({"metadata": dict(poll(call.id))} if isinstance(result.error, StillWorking) else {})


def unreadable(id: str) -> FunctionResult:
    """The result of a call whose arguments are no JSON object."""
    error = BadArguments((Problem("arguments", "a JSON object", "something else"),))
    return FunctionResult(id, error=error, sentence=error.sentence)


def result_text(result: FunctionResult) -> str:
    """The value as JSON on one line, or the sentence where that is all there is."""
    if _only_sentence(result):
        return one_line(result.sentence or str((result.value or {}).get("sentence", "")) or "Done.")
    value = dict(result.value or {})
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Some characters end a line without being control characters: JSON escapes those only when it escapes everything.
    return text if len(text.splitlines()) == 1 else json.dumps(value, separators=(",", ":"))


def failure_text(result: FunctionResult) -> str:
    """The sentence; for wrong arguments also which ones, so that the model can ask again."""
    error = result.error
    sentence = result.sentence or (error.sentence if error is not None else "")
    told = f"{sentence} {error}" if isinstance(error, BadArguments) and error.problems else sentence
    return one_line(told)


def one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]


def transfer(to: str) -> dict[str, Any]:
    """Where a caller who wants a person goes: a number or a SIP address, or a sentence."""
    return {"destination": destination(to)} if to else {"error": NO_TRANSFER}


def assistant(id: str, inline: Mapping[str, Any] | None) -> dict[str, Any]:
    """The assistant that takes the call: one that Vapi has, or one as it stands here, or a sentence."""
    if id:
        return {"assistantId": id}
    return {"assistant": dict(inline)} if inline else {"error": NO_ASSISTANT}


HANDOFF: Mapping[str, Any] = {"destination": {}, "error": "There is nobody else to hand this call over to."}
"""The definition wants a destination even where there is none."""
KNOWLEDGE: Mapping[str, Any] = {"documents": []}
ENDPOINTING: Mapping[str, Any] = {"timeoutSeconds": 0.4}
"""Vapi's own default."""
PREDIAL: Mapping[str, Any] = {"eligible": False}
"""No campaign is run from here; the contact is skipped."""


def _entry(call: ToolCall, result: FunctionResult, poll: Poll) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": call.name, "toolCallId": call.id}
    if result.error is None:
        return entry | {"result": result_text(result)}
    if isinstance(result.error, StillWorking):
        # No failure: the model is to say that it goes on, not that it went wrong.
        return entry | {"result": failure_text(result), "metadata": dict(poll(call.id))}
    return entry | {"error": failure_text(result)}


def _only_sentence(result: FunctionResult) -> bool:
    return not set(result.value or {}) - {"sentence"}
