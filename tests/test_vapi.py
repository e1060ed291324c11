"""Vapi's endpoint: answers in their exact form, sessions that never regress, late results, interruptions."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.functions.contract import (
    BadArguments,
    FunctionCall,
    FunctionResult,
    LateResult,
    Problem,
    Refused,
    StillWorking,
    StoreFailed,
)
from device.functions.store import RecordedCall
from device.web.late import CUT_IN, may_follow
from device.web.sessions import Sessions
from device.web.vapi import NO_REPORT
from tests import judges
from tests.test_vapi_messages import TABLE
from tests.vapi_rig import NOON, ControlServer, Rig, ScriptedRunner, body, tool

Play = Callable[[], Awaitable[None]]


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(bounded())


@asynccontextmanager
async def rig(folder: Path, runner: Any = None, **sections: Any) -> AsyncIterator[Rig]:
    one = Rig(folder, runner, **sections)
    try:
        yield one
    finally:
        await one.close()


# -- answers --------------------------------------------------------------------------------------------------------
def test_tool_calls_are_answered_in_order_with_exact_ids_in_one_line(tmp_path: Path) -> None:
    runner = ScriptedRunner(
        free={"available": True, "nextSlots": ["19:00\n", "a\u2028b"]},
        light="The light\nis on.",
        no=Refused("closed", "We are closed."),
        bad=BadArguments((Problem("date", "a date YYYY-MM-DD", "whenever"),)),
        slow=StillWorking(""),
        nothing={},
    )
    names = ["slow", "free", "no", "light", "bad", "nothing", "free"]

    async def scene() -> None:
        async with rig(tmp_path, runner) as one:
            calls = [tool(f"Call/{n}", name) for n, name in enumerate(names)]
            calls.insert(3, tool("text", "free", "[1]"))
            got = (await one.tell("tool-calls", toolCallList=calls))["results"]
            assert [(r["name"], r["toolCallId"]) for r in got] == [(c["function"]["name"], c["id"]) for c in calls]
            by = {r["toolCallId"]: r for r in got}
            assert all(len(str(r.get("result", r.get("error"))).splitlines()) == 1 for r in got)
            assert json.loads(by["Call/1"]["result"]) == {"available": True, "nextSlots": ["19:00\n", "a\u2028b"]}
            assert by["Call/3"]["result"] == "The light is on."
            assert by["Call/2"] == {"name": "no", "toolCallId": "Call/2", "error": "We are closed."}
            assert "date" in by["Call/4"]["error"]
            assert "YYYY-MM-DD" in by["Call/4"]["error"]
            assert by["Call/5"]["result"] == "Done."
            assert "JSON object" in by["text"]["error"]
            slow = by["Call/0"]
            assert slow["result"] == StillWorking.sentence
            assert "error" not in slow
            assert slow["metadata"]["poll"] == "/calls/c-1/results/Call%2F0"
            assert len(slow["metadata"]["token"]) == 64
            assert [call.id for call in runner.asked] == [f"vapi:c-1:{c['id']}" for c in calls if c["id"] != "text"]
            assert {(call.session, call.origin) for call in runner.asked} == {("vapi:c-1", "call")}
            assert one.events()[0][0] == "tool-calls"

    play(scene)


def test_the_old_form_is_answered_in_the_old_form(tmp_path: Path) -> None:
    runner = ScriptedRunner(
        checkAvailability={"available": False, "nextSlots": ["20:00"]}, no=Refused("x", "No.\nSorry.")
    )

    async def scene() -> None:
        async with rig(tmp_path, runner) as one:
            arguments = {"date": "2026-11-26", "time": "19:00"}
            for key in ("parameters", "arguments"):
                call = {"name": "checkAvailability", key: arguments}
                got = await one.tell("function-call", functionCall=call)
                assert got == {"result": {"available": False, "nextSlots": ["20:00"]}}
            assert [dict(call.arguments) for call in runner.asked] == [arguments, arguments]
            assert await one.tell("function-call", functionCall={"name": "no"}, call="") == {"result": "No. Sorry."}

    play(scene)


def test_the_budget_stays_below_what_vapi_waits(tmp_path: Path) -> None:
    async def scene() -> None:
        runner = ScriptedRunner()
        async with rig(tmp_path, runner) as one:
            impatient = {"toolCall": tool("a"), "server": {"timeoutSeconds": 3}}
            calls = [impatient, {"toolCall": tool("b")}, {"toolCall": tool("c", "unknown")}]
            await one.tell("tool-calls", toolWithToolCallList=calls)
            assert runner.budgets == [2.0, 4.0, 19.0]

    play(scene)


def test_questions_have_their_answers(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            assert set(await one.tell("assistant-request")) == {"error"}
            assert set(await one.tell("transfer-destination-request")) == {"error"}
            one.start(lambda: {"name": "wakeline"})
            assert await one.tell("assistant-request") == {"assistant": {"name": "wakeline"}}
            assert await one.tell("knowledge-base-request") == {"documents": []}
            assert await one.tell("call.endpointing.request") == {"timeoutSeconds": 0.4}
            assert await one.tell("campaign.predial") == {"eligible": False}
            assert (await one.send(body("voice-request", text="x"))).body == b""
        with_id = {"vapi": {"assistant_id": "as-1"}, "assistant": {"transfer_to": "+12025550143"}}
        async with rig(tmp_path / "2", **with_id) as one:
            assert await one.tell("assistant-request") == {"assistantId": "as-1"}
            told = await one.tell("transfer-destination-request")
            assert (told["destination"]["type"], told["destination"]["number"]) == ("number", "+12025550143")
        async with rig(tmp_path / "3", assistant={"transfer_to": "sip:desk@example.org"}) as one:
            told = await one.tell("transfer-destination-request")
            assert told["destination"]["sipUri"] == "sip:desk@example.org"

    play(scene)


@pytest.mark.skipif(not judges.have_specs(), reason=judges.MISSING)
def test_answers_by_the_definition(tmp_path: Path) -> None:
    known = judges.vapi_whole()
    runner = ScriptedRunner(free={"a": 1}, no=Refused("x", "No."), slow=StillWorking(""))
    kinds = {
        "assistant-request": "AssistantRequest",
        "transfer-destination-request": "TransferDestinationRequest",
        "handoff-destination-request": "HandoffDestinationRequest",
        "knowledge-base-request": "KnowledgeBaseRequest",
        "call.endpointing.request": "CallEndpointingRequest",
        "campaign.predial": "CampaignPredial",
    }

    async def scene() -> None:
        async with rig(tmp_path, runner) as one:
            calls = [tool(name, name) for name in ("free", "no", "slow")]
            answer = await one.tell("tool-calls", toolCallList=calls)
            assert judges.judge(known, "ServerMessageResponseToolCalls", answer) == []
            for kind, name in kinds.items():
                assert judges.judge(known, f"ServerMessageResponse{name}", await one.tell(kind)) == [], kind

    play(scene)


def test_every_type_is_acknowledged_and_recorded_without_text(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            for n, (kind, fields, _, _) in enumerate(TABLE):
                answer = await one.send(body(kind, call=f"c-{n}", **fields))
                assert answer.status == 200, kind
                ((noted, detail),) = one.events(f"c-{n}")
                assert noted == kind or kind.startswith("transcript[")
                assert "secret" not in detail
            await one.tell("hang", call="")
            assert one.events("-") == [("hang", "")]
            assert one.endpoint.counts["hang"] == 2
            assert one.endpoint.counts["unknown"] == 1
            assert "made-up" not in one.endpoint.counts
        raw = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        assert b"secret" not in raw
        assert b"controlUrl" not in raw

    play(scene)


def test_malformed_is_told_and_not_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            answer = await one.send(b"{")
            assert (answer.status, answer.body, answer.keep) == (400, b'{"error":"body-invalid"}', False)
            assert one.endpoint.counts["bad"] == 1

    play(scene)


def test_a_store_that_fails(tmp_path: Path) -> None:
    """Notices are to be sent again; whoever waits on the phone is answered."""

    async def scene() -> None:
        async with rig(tmp_path, ScriptedRunner(f="Yes.")) as one:
            one.store.close()
            answer = await one.send(body("hang"))
            assert (answer.status, answer.keep) == (503, False)
            assert json.loads(answer.body) == {"error": StoreFailed.code}
            assert set(await one.tell("assistant-request")) == {"error"}
            assert (await one.tell("tool-calls", toolCallList=[tool("a", "f")]))["results"][0]["result"] == "Yes."

    play(scene)


def test_nothing_of_a_call_waits_for_another_message_of_it(tmp_path: Path) -> None:
    held = asyncio.Event()

    class Held(ScriptedRunner):
        async def run(self, call: FunctionCall, *, budget_s: float | None = None) -> FunctionResult:
            await held.wait()
            return FunctionResult(call.id, value={}, sentence="Done.")

    async def scene() -> None:
        async with rig(tmp_path, Held()) as one:
            slow = asyncio.create_task(one.tell("tool-calls", toolCallList=[tool("a")]))
            await one.tell("speech-update", role="user", status="started")
            assert not slow.done()
            held.set()
            assert (await slow)["results"][0]["result"] == "Done."

    play(scene)


# -- sessions -------------------------------------------------------------------------------------------------------
def test_a_state_never_goes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            for status in ("ringing", "in-progress", "queued", "ringing", "in-progress"):
                await one.tell("status-update", status=status)
            assert one.state() == "in-progress"
            await one.tell("status-update", status="ended", endedReason="customer-ended-call")
            await one.tell("status-update", status="in-progress")
            assert one.state() == "ended"
            assert len(one.events()) == 7

    play(scene)


@pytest.mark.parametrize("kept", [False, True])
def test_the_report_closes_the_session(tmp_path: Path, kept: bool) -> None:
    async def scene() -> None:
        async with rig(tmp_path, privacy={"record_text": kept}) as one:
            await one.tell("status-update", status="in-progress", control="https://x.vapi.ai/control")
            assert one.sessions.active == 1
            await one.tell("end-of-call-report", endedReason="silence-timed-out", analysis={"summary": "A table."})
            await one.tell("end-of-call-report", endedReason="other", analysis={"summary": "Other."})
            await one.tell("status-update", status="in-progress", control="https://x.vapi.ai/control")
            assert len(one.sessions) == 0, "a late event does not revive it"
            with one.store.reading() as store:
                session = store.session("vapi:c-1")
            assert session is not None
            assert (session.state, session.reason) == ("ended", "silence-timed-out")
            assert session.summary == ("A table." if kept else "")

    play(scene)


def test_a_call_without_report_is_closed_after_its_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            await one.tell("status-update", status="in-progress")
            await one.tell("status-update", call="c-2", status="ended", endedReason="voicemail")
            one.now += timedelta(seconds=3601)
            await one.tell("hang", call="c-3")
            assert [session.id for session in one.sessions] == ["c-3"]
            with one.store.reading() as store:
                rows = {row.id: (row.state, row.reason) for row in store.sessions()}
            assert rows["vapi:c-1"] == ("ended", NO_REPORT)
            assert rows["vapi:c-2"] == ("ended", "voicemail")
            one.start()  # nothing in memory: only the store knows c-3
            assert await one.endpoint.tidy() == 0
            one.now += timedelta(seconds=3601)
            assert await one.endpoint.tidy() == 1
            assert one.state("c-3") == "ended"

    play(scene)


def test_sessions_have_bounds() -> None:
    sessions = Sessions(ttl_s=3600, longest_s=600, most=3)
    for n in range(5):
        sessions.touch(f"c-{n}", NOON + timedelta(seconds=n))
    assert [session.id for session in sessions] == ["c-2", "c-3", "c-4"]
    now = NOON
    while now < NOON + timedelta(seconds=700):
        now += timedelta(seconds=50)
        sessions.touch("c-4", now)
        over = [session.id for session in sessions.expired(now)]
        assert over in ([], ["c-2", "c-3"])
    assert [session.id for session in sessions] == ["c-4"], "past its longest, and it still has events"
    assert [session.id for session in sessions.expired(now + timedelta(seconds=60))] == ["c-4"]


def test_a_hundred_thousand_sessions_leave_nothing() -> None:
    sessions = Sessions()

    def live_and_end(first: int, count: int) -> None:
        for n in range(first, first + count):
            now = NOON + timedelta(milliseconds=n)
            session = sessions.touch(f"c-{n}", now)
            session.control_url = f"https://x.vapi.ai/{n}/control"
            sessions.touch(f"c-{n}", now)
            sessions.expired(now)
            sessions.forget(f"c-{n}")

    live_and_end(0, 1000)
    before = sys.getallocatedblocks()
    live_and_end(1000, 100_000)
    assert len(sessions) == 0
    assert sys.getallocatedblocks() - before < 500


# -- late results ---------------------------------------------------------------------------------------------------
def record(id: str, state: Any, call: str = "c-1") -> RecordedCall:
    value = {"id": 7} if state == "done" else None
    sentence = "It is booked." if value else ""
    return RecordedCall(f"vapi:{call}:{id}", "book", {}, "call", f"vapi:{call}", state, value, "", sentence, NOON)


def ended(one: Rig, id: str = "a", call: str = "c-1") -> LateResult:
    """A call that was answered "still working" and has ended now, as the runner records it."""
    for state in ("running", "done"):
        with one.store.transaction() as store:
            store.record_function_call(record(id, state, call))
    function = FunctionCall(f"vapi:{call}:{id}", "book", {}, "call", f"vapi:{call}")
    return LateResult(function, FunctionResult(function.id, value={"id": 7}, sentence="It is booked."))


def waiting(one: Rig) -> list[str]:
    with one.store.reading() as store:
        return [call.id for call in store.undelivered()]


@pytest.mark.calls
def test_a_late_result_is_told_once(tmp_path: Path) -> None:
    async def scene() -> None:
        with ControlServer(503) as far:
            async with rig(tmp_path, far=far.url) as one:
                await one.tell("status-update", status="in-progress", control=f"{far.url}/c-1/control")
                late = ended(one)
                task = one.endpoint.late.accept(late)
                assert task is not None
                assert one.endpoint.late.accept(late) is None, "it is being told"
                for _ in range(2):  # 503 first: tried again
                    told = await far.next()
                await task
                assert told["type"] == "add-message"
                assert told["triggerResponseEnabled"] is True
                assert "It is booked." in told["message"]["content"]
                assert waiting(one) == []
                again = one.endpoint.late.accept(late)
                assert again is not None
                assert await again is None
                assert len(far.requests) == 2
                assert {request.path for request in far.requests} == {"/c-1/control"}

    play(scene)


@pytest.mark.calls
def test_after_a_restart_it_waits_for_the_url(tmp_path: Path) -> None:
    async def scene() -> None:
        with ControlServer() as far:
            async with rig(tmp_path, far=far.url) as one:
                await one.tell("status-update", status="in-progress", control=f"{far.url}/c-1/control")
                one.start()
                late = ended(one)
                task = one.endpoint.late.accept(late)
                assert task is not None
                await task
                await one.tell("speech-update", role="user", status="started")
                await one.endpoint.late.settle()
                assert waiting(one) == [late.call.id]
                await one.tell("speech-update", role="user", status="stopped", control=f"{far.url}/c-1/control")
                assert "It is booked." in (await far.next())["message"]["content"]
                await one.endpoint.late.settle()
                assert waiting(one) == []
                await one.tell("hang", control=f"{far.url}/c-1/control")
                await one.endpoint.late.settle()
                assert len(far.requests) == 1

    play(scene)


@pytest.mark.calls
@pytest.mark.parametrize("how", ["status-update", "end-of-call-report"])
def test_an_ended_call_is_told_nothing(tmp_path: Path, how: str) -> None:
    async def scene() -> None:
        with ControlServer() as far:
            async with rig(tmp_path, far=far.url) as one:
                control = f"{far.url}/c-1/control"
                await one.tell("status-update", status="in-progress", control=control)
                await one.tell(how, status="ended", endedReason="customer-ended-call", control=control)
                late = ended(one)
                one.endpoint.late.accept(late)
                await one.tell("conversation-update", control=control)
                await one.endpoint.late.settle()
                assert far.requests == []
                assert waiting(one) == [late.call.id]

    play(scene)


@pytest.mark.calls
def test_a_call_out_of_reach_is_told_with_its_next_message(tmp_path: Path) -> None:
    async def scene() -> None:
        with ControlServer(503, 503, 503) as far:
            async with rig(tmp_path, far=far.url) as one:
                await one.tell("status-update", status="in-progress", control=f"{far.url}/c-1/control")
                one.endpoint.late.accept(ended(one))
                await one.endpoint.late.settle()
                assert len(far.requests) == 3
                assert len(waiting(one)) == 1
                await one.tell("hang", control=f"{far.url}/c-1/control")
                await one.endpoint.late.settle()
                assert len(far.requests) == 4
                assert waiting(one) == []

    play(scene)


def test_results_of_others_are_not_ours(tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            call = FunctionCall("voice-1", "book", {}, "voice", "talk-1")
            assert one.endpoint.late.accept(LateResult(call, FunctionResult("voice-1", value={}))) is None

    play(scene)


@pytest.mark.parametrize(
    ("url", "base", "followed"),
    [
        ("https://phone-call-websocket.aws-us-west-2-backend-production1.vapi.ai/c/control", "", True),
        ("https://vapi.ai/c/control", "", True),
        ("https://API.EU.VAPI.AI:443/c", "https://api.eu.vapi.ai", True),
        ("http://x.vapi.ai/c", "", False),
        ("https://x.vapi.ai:8443/c", "", False),
        ("https://vapi.ai.evil.example/c", "", False),
        ("https://evilvapi.ai/c", "", False),
        ("https://x.vapi.ai@evil.example/c", "", False),
        ("https://evil.example#.vapi.ai/", "", False),
        ("https://evil.example\\.vapi.ai/c", "", False),
        ("https://evil.example/?.vapi.ai", "", False),
        ("https://127.0.0.1/c", "", False),
        ("http://127.0.0.1:3001/c", "", False),
        ("http://169.254.169.254/latest", "", False),
        ("https://[::1]/c", "", False),
        ("https://x.vapi.ai:99999/c", "", False),
        ("file:///etc/passwd", "", False),
        ("https:///c", "", False),
        ("http://127.0.0.1:4010/c", "http://127.0.0.1:4010", True),
        ("http://169.254.169.254/c", "http://127.0.0.1:4010", False),
    ],
)
def test_where_a_control_url_may_lead(url: str, base: str, followed: bool) -> None:
    assert may_follow(url, base or "https://api.vapi.ai") is followed


# -- interruptions --------------------------------------------------------------------------------------------------
@pytest.mark.calls
def test_a_partial_cuts_the_speech_once_where_it_is_wanted(tmp_path: Path) -> None:
    async def dialogue(one: Rig, control: str) -> None:
        await one.tell("speech-update", role="assistant", status="started", turn=1, control=control)
        for words in ("um", "8", "8pm", "8pm works", "8pm works for me"):
            await one.tell("transcript", role="user", transcriptType="partial", transcript=words)
        await one.endpoint.late.settle()

    async def scene() -> None:
        with ControlServer() as far:
            async with rig(tmp_path, far=far.url, assistant={"interrupt_by_transcript": True}) as one:
                await dialogue(one, f"{far.url}/c-1/control")
                cut = await far.next()
                assert cut["type"] == "say"
                assert cut["content"] == CUT_IN
                assert cut["interruptAssistantEnabled"] is True
                assert len(far.requests) == 1
            async with rig(tmp_path / "2", far=far.url) as one:
                await dialogue(one, f"{far.url}/c-1/control")
                assert len(far.requests) == 1

    play(scene)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raws=st.lists(st.binary(max_size=60) | st.sampled_from([body(row[0], **row[1]) for row in TABLE]), max_size=6))
def test_whatever_arrives_is_answered(tmp_path: Path, raws: list[bytes]) -> None:
    async def scene() -> None:
        async with rig(tmp_path) as one:
            answers = await asyncio.gather(*map(one.send, raws))
            assert {answer.status for answer in answers} <= {200, 400}

    play(scene)


def test_thousands_of_events_a_second(tmp_path: Path) -> None:
    """A loose floor: what it costs here must not be what limits the whole."""

    async def scene() -> None:
        async with rig(tmp_path) as one:
            raws = [
                body("transcript", call=f"c-{n % 100}", role="user", transcriptType="partial", transcript="eight")
                for n in range(3000)
            ]
            began = time.perf_counter()
            for start in range(0, len(raws), 500):
                await asyncio.gather(*map(one.send, raws[start : start + 500]))
            assert len(raws) / (time.perf_counter() - began) > 500

    play(scene)
