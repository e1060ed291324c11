"""POST /webhook/vapi: an authentic message becomes function calls and session events, and is answered in its form.

Everything is recorded before it is acknowledged, in one change of the store per request. Nothing of a call waits for
anything else of it here: the runner keeps the order of effects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from device.config import Config
from device.functions.commits import committed
from device.functions.contract import FunctionCall, FunctionResult, StoreFailed, UnknownFunction
from device.functions.registry import Registry
from device.functions.store import Answered, RecordedCall, Store, Writing
from device.web import vapi_answers as answers
from device.web.door import Answer, Authentic
from device.web.interrupt import heard
from device.web.late import Control, Late, may_follow
from device.web.results import Tokens, poll_path
from device.web.sessions import LiveSession, Phase, Sessions, session_key
from device.web.vapi_messages import (
    AssistantRequest,
    BadMessage,
    CallDeleted,
    CampaignPredial,
    EndOfCallReport,
    EndpointingRequest,
    HandoffDestinationRequest,
    KnowledgeBaseRequest,
    LegacyFunctionCall,
    Message,
    StatusUpdate,
    ToolCalls,
    TransferDestinationRequest,
    UnknownMessage,
    VoiceRequest,
    parse,
)
from device.web.vapi_tools import ToolCall

STATES = ("scheduled", "queued", "ringing", "in-progress", "forwarding", "ended")
"""In the order in which a call goes through them; it never goes back."""
NO_REPORT = "no-report"
"""Why a session was closed that Vapi has not reported."""
_NOBODY = "-"
_PATIENCE_S = 20.0
"""How long Vapi waits for an answer, unless the message tells."""
_RESERVE_S = 1.0
_ASKED_S = 4.0
"""Of the 7.5 s that Vapi waits for an assistant, the way there and back included."""


class Runs(Protocol):
    """The part of the runner that is needed here."""

    async def run(self, call: FunctionCall, *, budget_s: float | None = None) -> FunctionResult: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What the store knew of a call whose session has begun or whose URL has just become known."""

    ended: bool = False
    waiting: tuple[RecordedCall, ...] = ()


class VapiEndpoint:
    """Handles what the door has let in; used from the app's loop."""

    def __init__(
        self,
        runner: Runs,
        store: Store,
        registry: Registry,
        config: Config,
        sessions: Sessions,
        clock: Callable[[], datetime],
        *,
        assistant: Callable[[], Mapping[str, Any]] | None = None,
        assistant_id: str = "",
        tokens: Tokens | None = None,
        control: Control | None = None,
    ) -> None:
        self._runner = runner
        self._store = store
        self._registry = registry
        self._config = config
        self._sessions = sessions
        self._clock = clock
        self._assistant = assistant
        self._assistant_id = assistant_id or config.vapi.assistant_id
        self._tokens = tokens or Tokens.load(config.paths.state_dir)
        self.late = Late(store, sessions, control or Control())
        """Give it what `Runner.late` yields for calls of Vapi's."""
        self.counts: Counter[str] = Counter()
        """Messages by type; "unknown" for types of the future, "bad" for what is none."""

    async def handle(self, request: Authentic) -> Answer:
        """The answer to one message; never an exception for anything that was sent."""
        try:
            message = parse(request.body)
        except BadMessage as error:
            self.counts["bad"] += 1
            return _json({"error": error.code}, 400, keep=False)
        self.counts["unknown" if isinstance(message, UnknownMessage) else message.kind] += 1
        asked = self._asked(message)
        noted = self._note(message, request, told=asked is None)
        match message:
            case ToolCalls():
                results = await self._run(message.call, message.calls)
                await self._settled(noted)
                return _json(answers.tool_results(message.calls, results, self._poll(message.call)))
            case LegacyFunctionCall():
                results = await self._run(message.call, (message.function,))
                await self._settled(noted)
                return _json(answers.legacy_result(message.function, results[0], self._poll(message.call)))
        if asked is not None:
            # Somebody on the phone waits for it, and asked again it is the same: a slow disk does not hold it up.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled(noted), _ASKED_S)
            return asked
        if not await self._settled(noted):
            return _json({"error": StoreFailed.code}, 503, keep=False)
        return Answer(keep=False)  # kept with the event

    async def tidy(self) -> int:
        """Close what is over without a report, sessions of an earlier start among them; how many. At start, and now
        and then while nothing arrives."""
        now = self._clock()
        over = self._sessions.expired(now)
        before = now - timedelta(seconds=self._config.web.session_ttl_s)
        here = {session.key for session in self._sessions}

        def work(tx: Writing) -> int:
            for session in over:
                tx.close_session(session.key, session.reason or NO_REPORT, "", now)
            quiet = [id for id in tx.quiet_sessions("vapi", before) if id not in here]
            return len(over) + sum(tx.close_session(id, NO_REPORT, "", now) for id in quiet)

        return await committed(self._store, work)

    async def close(self) -> None:
        """What is being told to calls is given up; it waits in the store."""
        await self.late.close()

    # -- function calls -----------------------------------------------------------------------------------------
    async def _run(self, call: str, wishes: tuple[ToolCall, ...]) -> list[FunctionResult]:
        """Side by side: handed to the runner in their order, which keeps the order of effects."""
        return await asyncio.gather(*(self._one(call, wish) for wish in wishes))

    async def _one(self, call: str, wish: ToolCall) -> FunctionResult:
        id = f"vapi:{call}:{wish.id}"
        if wish.arguments is None:
            return answers.unreadable(id)
        function = FunctionCall(id, wish.name, wish.arguments, "call", session_key(call))
        return await self._runner.run(function, budget_s=self._budget(wish))

    def _budget(self, wish: ToolCall) -> float:
        """Its own budget, and in any case less than Vapi waits."""
        longest = max(0.5, (wish.timeout_s or _PATIENCE_S) - _RESERVE_S)
        try:
            return min(self._registry.get(wish.name).budget_s, longest)
        except UnknownFunction:
            return longest

    def _poll(self, call: str) -> answers.Poll:
        return lambda id: {"state": "working", "poll": poll_path(call, id), "token": self._tokens.token(call)}

    # -- sessions -----------------------------------------------------------------------------------------------
    def _note(self, message: Message, request: Authentic, *, told: bool) -> asyncio.Task[bool]:
        """Take in what the message tells of its call, and hand its event to the store; the task's value: recorded.

        Where it only tells something, its answer is known and recorded with it."""
        now = request.received
        session: LiveSession | None = None
        fresh = False
        if message.call:
            fresh = self._sessions.get(message.call) is None
            session = self._sessions.touch(message.call, now)
            fresh = self._learn(session, message.control_url) or fresh
            self._listen(session, message, now)
        answer = None
        if told and request.digest and not isinstance(message, ToolCalls | LegacyFunctionCall):
            answer = _kept(request.digest, now)
        work = self._work(message, now, answer, fresh=fresh, over=self._sessions.expired(now))
        return asyncio.create_task(self._recorded(message, session, work))

    def _learn(self, session: LiveSession, url: str) -> bool:
        """The control URL; whether it is news."""
        if not url or url == session.control_url:
            return False
        if not may_follow(url, self._config.vapi.base_url):
            self.counts["control-url-refused"] += 1
            return False
        session.control_url = url
        return True

    def _listen(self, session: LiveSession, message: Message, now: datetime) -> None:
        if isinstance(message, StatusUpdate) and message.status == "ended":
            session.phase, session.reason = Phase.ENDED, message.reason
        elif self._config.assistant.interrupt_by_transcript:
            now_ms = message.at_ms if message.at_ms is not None else round(now.timestamp() * 1000)
            session.floor, cut = heard(session.floor, message, now_ms)
            if cut:
                self.counts["interruptions"] += 1
                self.late.interrupt(session)

    def _work(
        self, message: Message, now: datetime, answer: Answered | None, *, fresh: bool, over: list[LiveSession]
    ) -> Callable[[Writing], _Found]:
        key = session_key(message.call or _NOBODY)
        kind, detail = message.kind, message.detail
        summary = message.summary if isinstance(message, EndOfCallReport) and self._config.privacy.record_text else ""

        def work(tx: Writing) -> _Found:
            before = tx.session(key) if fresh or isinstance(message, StatusUpdate) else None
            tx.open_session(key, "vapi", now)
            tx.note_session(key, kind, detail, now)
            match message:
                case StatusUpdate(status=status) if _advances(before.state if before else "", status):
                    tx.set_session_state(key, status)
                case EndOfCallReport(reason=reason):
                    tx.close_session(key, reason, summary, now)
                case CallDeleted():
                    tx.close_session(key, kind, "", now)
            for session in over:
                tx.close_session(session.key, session.reason or NO_REPORT, "", now)
            if answer is not None:
                tx.record_answered(answer)
            if not fresh:
                return _Found()
            return _Found(before is not None and before.state == "ended", tuple(tx.undelivered(key)))

        return work

    async def _recorded(self, message: Message, session: LiveSession | None, work: Callable[[Writing], _Found]) -> bool:
        try:
            found = await committed(self._store, work)
        except StoreFailed:
            self.counts["not-recorded"] += 1
            if session is not None:
                session.control_url = ""  # learned anew, and with it what waits for this call
            return False
        if session is None:
            return True
        if found.ended or isinstance(message, EndOfCallReport | CallDeleted):
            self._sessions.forget(session.id)
        elif found.waiting and session.control_url and session.phase is Phase.LIVE:
            self.late.revive(list(found.waiting))
        return True

    async def _settled(self, noted: asyncio.Task[bool]) -> bool:
        return await asyncio.shield(noted)

    # -- answers ------------------------------------------------------------------------------------------------
    def _asked(self, message: Message) -> Answer | None:
        """The answer to a question that changes nothing; None for notices."""
        match message:
            case AssistantRequest():
                inline = self._assistant() if self._assistant and not self._assistant_id else None
                value = answers.assistant(self._assistant_id, inline)
            case TransferDestinationRequest():
                value = answers.transfer(self._config.assistant.transfer_to)
            case HandoffDestinationRequest():
                value = dict(answers.HANDOFF)
            case KnowledgeBaseRequest():
                value = dict(answers.KNOWLEDGE)
            case EndpointingRequest():
                value = dict(answers.ENDPOINTING)
            case CampaignPredial():
                value = dict(answers.PREDIAL)
            case VoiceRequest():
                return Answer(200, b"", "application/octet-stream", keep=False)  # raw audio; there is none
            case _:
                return None
        return _json(value, keep=False)


def _kept(digest: str, now: datetime) -> Answered:
    """The record of the answer to every notice."""
    answer = Answer()
    return Answered(digest, answer.status, answer.media_type, answer.body, now)


def _advances(before: str, after: str) -> bool:
    """A state of the future counts as news while the call has not ended."""
    if before not in STATES or after not in STATES:
        return before != "ended"
    return STATES.index(after) > STATES.index(before)


def _json(value: Mapping[str, Any], status: int = 200, *, keep: bool = True) -> Answer:
    return Answer(status, msgspec.json.encode(value), keep=keep)
