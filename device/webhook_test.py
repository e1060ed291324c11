"""`wakeline webhook test`: sends the samples and the attacks to a server, judges the answers, and reports.

It knows the server only by its answers, so it judges a deployed one as well as one on this device.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from device.config import ConfigError
from device.web.twiml import is_twiml
from device.webhook_samples import Check, Shot

_PATIENCE_S = 20.0
_DROP_S = 0.5
_UNREACHED = "no connection"
CLOSED = 0
"""The status of an answer that did not come because the server hung up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one shot."""

    shot: Shot
    status: int
    ms: float
    fault: str = ""
    """Empty when all is as expected."""

    def row(self) -> dict[str, Any]:
        """For --json."""
        return {
            "provider": self.shot.provider,
            "sent": self.shot.name,
            "expected": list(self.shot.expected),
            "got": self.status,
            "ms": round(self.ms, 1),
            "ok": not self.fault,
            "fault": self.fault,
            "proves": self.shot.proves,
        }


async def send_all(url: str, shots: Iterable[Shot]) -> AsyncIterator[Verdict]:
    """One after the other, in their order."""
    answers: dict[str, bytes] = {}
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S) as client:
        for shot in shots:
            verdict, body = await _send(client, shot, answers.get(shot.again))
            answers[shot.name] = body
            yield verdict


async def _send(client: httpx.AsyncClient, shot: Shot, before: bytes | None) -> tuple[Verdict, bytes]:
    began = time.perf_counter()
    headers = [(name.encode(), value.encode("utf-8")) for name, value in shot.headers]
    content = _drops() if shot.slow else shot.body
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer = await client.request(shot.method, shot.path, content=content, headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return Verdict(shot, CLOSED, _ms(began), f"{_UNREACHED} ({type(error).__name__})"), b""
    except (httpx.HTTPError, TimeoutError) as error:
        # Who refuses a body before reading it may close the connection under our hands: that is a refusal as well.
        closed = isinstance(error, httpx.WriteError | httpx.ReadError | httpx.RemoteProtocolError)
        refusal = closed and (shot.slow or 413 in shot.expected)
        fault = "" if refusal else f"no answer ({type(error).__name__})"
        return Verdict(shot, CLOSED, _ms(began), fault), b""
    return Verdict(shot, answer.status_code, _ms(began), judge(shot, answer, before)), answer.content


async def _drops() -> AsyncIterator[bytes]:
    """A body that never ends; the sender's own patience ends it if the server does not."""
    while True:
        yield b" "
        await asyncio.sleep(_DROP_S)


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def judge(shot: Shot, answer: httpx.Response, before: bytes | None) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if answer.status_code not in shot.expected:
        if answer.status_code == 429:
            return "rate limit: it has refused too much from here; wait a minute"
        return f"expected {' or '.join(map(str, shot.expected))}"
    if b"Traceback (most recent call last)" in answer.content:
        return "a traceback in the answer"
    match shot.check:
        case Check.STATUS:
            return ""
        case Check.TWIML:
            return "" if is_twiml(answer.text) else "no TwiML"
        case Check.SAME:
            return "" if answer.content == before else "another answer than the first time"
        case _:
            return _judge_json(shot, answer)


def _judge_json(shot: Shot, answer: httpx.Response) -> str:
    try:
        got = answer.json()
    except ValueError:
        return "no JSON"
    if not isinstance(got, dict):
        return "no JSON object"
    match shot.check:
        case Check.RESULTS:
            return _judge_results(shot, got)
        case Check.RESULT:
            return "" if {"result", "error"} & set(got) else "neither result nor error"
        case Check.ASSISTANT:
            return "" if {"assistantId", "assistant", "destination", "error"} & set(got) else "no assistant"
        case _:
            return "" if {"destination", "error"} & set(got) else "neither destination nor error"


def _judge_results(shot: Shot, got: dict[str, Any]) -> str:
    message = json.loads(shot.body)["message"]
    asked = [call["id"] for call in message.get("toolCallList") or message.get("toolCalls") or ()]
    asked = asked or [each["toolCall"]["id"] for each in message["toolWithToolCallList"]]
    results = got.get("results")
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        return "no list of results"
    if [each.get("toolCallId") for each in results] != asked:
        return "not one result for each call, in order"
    for each in results:
        told = [each[key] for key in ("result", "error") if key in each]
        if len(told) != 1 or not isinstance(told[0], str) or "\n" in told[0] or not told[0]:
            return "a result is not one line of text"
    return ""


def line(verdict: Verdict) -> str:
    """One line of the table."""
    shot = verdict.shot
    expected = "/".join(map(str, shot.expected))
    got = str(verdict.status) if verdict.status else "closed"
    mark, last = ("FAIL", verdict.fault) if verdict.fault else ("ok", shot.proves)
    return f"{mark:4} {shot.provider:6} {shot.name[:34]:34} {expected:7} {got:6} {verdict.ms:7.1f}  {last}"


HEAD = f"{'':4} {'':6} {'sent':34} {'expect':7} {'got':6} {'ms':>7}  what it proves"


async def report(url: str, shots: list[Shot], *, as_json: bool) -> int:
    """Sends, prints as it goes, and returns the exit status."""
    verdicts = []
    if not as_json:
        print(f"{url}: {len(shots)} requests")
        print(HEAD)
    async for verdict in send_all(url, shots):
        verdicts.append(verdict)
        if len(verdicts) == 1 and verdict.fault.startswith(_UNREACHED):
            raise ConfigError("webhook-no-connection", f"nobody answers at {url}: {verdict.fault}")
        if not as_json:
            print(line(verdict), flush=True)
        elif sys.stderr.isatty():
            print(f"\r{len(verdicts)} of {len(shots)}", end="", file=sys.stderr, flush=True)
    failed = [verdict for verdict in verdicts if verdict.fault]
    if as_json:
        rows = [verdict.row() for verdict in verdicts]
        print(json.dumps({"url": url, "sent": len(rows), "failed": len(failed), "requests": rows}, indent=1))
    else:
        print(f"{len(verdicts) - len(failed)} of {len(shots)} as expected")
    return 1 if failed else 0
