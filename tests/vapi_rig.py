"""What the tests of Vapi's endpoint stand on: messages as Vapi sends them, a scripted runner, a control server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device.config import Config
from device.functions.contract import FunctionCall, FunctionError, FunctionResult, StillWorking
from device.functions.registry import Registry
from device.functions.sqlite_store import SqliteStore
from device.web.late import Control
from device.web.requests import Answer, Authentic
from device.web.results import Tokens
from device.web.sessions import Sessions
from device.web.vapi import VapiEndpoint
from tests.doubles.loopback import Loopback, Reply, Request

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = b"k" * 32


def body(type: str, *, call: str = "c-1", control: str = "", **fields: Any) -> bytes:
    """A message in Vapi's envelope."""
    about: dict[str, Any] = {"id": call} | ({"monitor": {"controlUrl": control}} if control else {})
    message = {"type": type, "timestamp": 1788247410457} | ({"call": about} if call else {}) | fields
    return json.dumps({"message": message}).encode()


def authentic(raw: bytes, at: datetime = NOON) -> Authentic:
    return Authentic("/webhook/vapi", raw, {}, "", at)


def tool(id: str, name: str = "checkAvailability", arguments: Any = None) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments or {}}}


class ScriptedRunner:
    """Implements the runner's part: results by function name; remembers what it was asked."""

    def __init__(self, **results: dict[str, Any] | str | FunctionError) -> None:
        self.results = results
        self.asked: list[FunctionCall] = []
        self.budgets: list[float | None] = []

    async def run(self, call: FunctionCall, *, budget_s: float | None = None) -> FunctionResult:
        self.asked.append(call)
        self.budgets.append(budget_s)
        await asyncio.sleep(0)
        what = self.results.get(call.name, {"id": call.id})
        if isinstance(what, FunctionError):
            error = StillWorking(call.id) if isinstance(what, StillWorking) else what
            return FunctionResult(call.id, error=error, sentence=error.sentence)
        if isinstance(what, str):
            return FunctionResult(call.id, value={"sentence": what}, sentence=what)
        return FunctionResult(call.id, value=what)


class ControlServer(Loopback):
    """A call's control URL; answers with the given statuses, then with 200."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.statuses = list(statuses)
        self.arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def answer(self, request: Request) -> Reply:
        self._loop.call_soon_threadsafe(self.arrived.put_nowait, json.loads(request.body))
        return Reply(self.statuses.pop(0) if self.statuses else 200, {})

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.arrived.get(), 5)


class Rig:
    """The endpoint over a real store."""

    def __init__(self, folder: Path, runner: Any = None, *, far: str = "", **sections: Any) -> None:
        paths = {"state_dir": folder}
        if far:
            sections["vapi"] = {"base_url": far} | sections.get("vapi", {})
        self.config = Config(paths=paths, **sections)
        self.store = SqliteStore(folder / "wakeline.db")
        self.registry = Registry.load([])
        self.runner = runner or ScriptedRunner()
        self.now = NOON
        self.start()

    def start(self, assistant: Callable[[], dict[str, Any]] | None = None) -> None:
        """Begin, or begin again as after a restart: what was in memory is gone."""
        self.sessions = Sessions(ttl_s=self.config.web.session_ttl_s, longest_s=self.config.assistant.longest_s)
        self.endpoint = VapiEndpoint(
            self.runner,
            self.store,
            self.registry,
            self.config,
            self.sessions,
            lambda: self.now,
            assistant=assistant,
            tokens=Tokens(KEY),
            control=Control(timeout_s=5, pauses_s=(0, 0)),
        )

    async def send(self, raw: bytes) -> Answer:
        return await self.endpoint.handle(authentic(raw, self.now))

    async def tell(self, type: str, **fields: Any) -> Any:
        """The answer's JSON, of a message that is answered 200."""
        answer = await self.send(body(type, **fields))
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def events(self, call: str = "c-1") -> list[tuple[str, str]]:
        with self.store.reading() as store:
            return [(event.kind, event.detail) for event in store.session_events(f"vapi:{call}")]

    def state(self, call: str = "c-1") -> str:
        with self.store.reading() as store:
            session = store.session(f"vapi:{call}")
        return session.state if session else ""

    async def close(self) -> None:
        await self.endpoint.close()
        self.store.close()
