"""The runner: checked, once per id, in order, in time; effect and record together."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device.functions.context import Context, Outcome
from device.functions.contract import (
    FunctionCall,
    FunctionResult,
    FunctionTimedOut,
    IdReused,
    LateResult,
    Origin,
    Refused,
    StillWorking,
    StoreFailed,
)
from device.functions.hours import BookSettings
from device.functions.registry import Registry, function, spec_of
from device.functions.runner import Runner, context_factory
from device.functions.sqlite_store import SqliteStore
from device.functions.store import RecordedCall

NOW = datetime(2026, 12, 1, 14, 20, tzinfo=UTC)
DEADLINE = 5.0
contexts = context_factory(lambda: NOW, UTC, BookSettings())


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "wakeline.db", wait_s=0.2)


def call(id: str, function_name: str, /, origin: Origin = "voice", session: str = "", **arguments: Any) -> FunctionCall:
    return FunctionCall(id, function_name, arguments, origin, session)


def play(store: SqliteStore, functions: list[Callable[..., Any]], script: Callable[[Runner], Awaitable[Any]]) -> Any:
    runner = Runner(Registry(spec_of(one) for one in functions), store, contexts)

    async def scene() -> Any:
        return await asyncio.wait_for(script(runner), DEADLINE)

    return asyncio.run(scene())


def run(store: SqliteStore, functions: list[Callable[..., Any]], *calls: FunctionCall) -> list[FunctionResult]:
    async def script(runner: Runner) -> list[FunctionResult]:
        return [await runner.run(one) for one in calls]

    return list(play(store, functions, script))


def state(store: SqliteStore, id: str) -> str:
    with store.reading() as reading:
        record = reading.function_call(id)
    return record.state if record else "none"


@function(effect=True)
def keep(ctx: Context, name: str = "") -> Outcome:
    """Keep something."""
    with ctx.store.transaction() as writing:
        id = writing.add_timer(name, 1, NOW, NOW)
        with ctx.store.reading() as reading:
            assert id in [timer.id for timer in reading.timers()]
    return Outcome({"id": id}, "Kept.")


@function(effect=True)
def keep_and_fail(ctx: Context) -> Outcome:
    """Keep something and fail."""
    with ctx.store.transaction() as writing:
        writing.add_timer("secret", 1, NOW, NOW)
    raise ValueError("secret words")


@function(effect=True)
def refuse(ctx: Context) -> Outcome:
    """Say no."""
    with ctx.store.transaction() as writing:
        writing.add_timer("", 1, NOW, NOW)
        raise Refused("slot-taken", "Seven is taken.")


@function(origins=("staff",))
def staff_only() -> str:
    """For the staff."""
    return "Hello."


def test_a_result_is_recorded_with_its_effect_before_it_is_answered(store: SqliteStore) -> None:
    (result,) = run(store, [keep], call("a", "keep", name="tea"))
    assert (result.value, result.sentence, result.error, result.replayed) == ({"id": 1}, "Kept.", None, False)
    assert [timer.name for timer in store.timers()] == ["tea"]
    assert [(waiting.reply, waiting.text) for waiting in store.unheard()] == [("a", "Kept.")]
    assert state(store, "a") == "done"


def test_only_effects_by_voice_wait_to_be_heard(store: SqliteStore) -> None:
    run(store, [keep], call("a", "keep", "text"), call("b", "keep", "call"))
    assert store.unheard() == []


def test_the_same_id_runs_once_also_after_a_restart(store: SqliteStore) -> None:
    first, second = run(store, [keep], call("a", "keep"), call("a", "keep"))
    store.close()
    again = SqliteStore(store.path)
    (third,) = run(again, [keep], call("a", "keep"))
    assert (first.replayed, second.replayed, third.replayed) == (False, True, True)
    assert first.value == second.value == third.value
    assert third.sentence == "Kept."
    assert len(again.timers()) == 1


def test_the_same_id_in_flight_waits_for_the_one_result(store: SqliteStore) -> None:
    async def script(runner: Runner) -> list[FunctionResult]:
        return await asyncio.gather(*(runner.run(call("a", "keep")) for _ in range(10)))

    results = play(store, [keep], script)
    assert len({id(result) for result in results}) == 1
    assert len(store.timers()) == 1


def test_a_cancelled_caller_does_not_stop_an_effect(store: SqliteStore) -> None:
    async def script(runner: Runner) -> None:
        waiting = asyncio.ensure_future(runner.run(call("a", "keep")))
        await asyncio.wait([waiting], timeout=0)  # it has begun
        waiting.cancel()
        await runner.drain()

    play(store, [keep], script)
    assert len(store.timers()) == 1


def test_a_failure_undoes_the_effect_and_tells_only_its_type(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, again = run(store, [keep_and_fail], call("a", "keepAndFail"), call("a", "keepAndFail"))
    assert first.error is not None
    assert first.error.code == "function-failed"
    assert first.sentence == "Sorry, that did not work. Please try again in 30 seconds."
    assert again.replayed
    assert store.timers() == []
    assert store.unheard() == []
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_refusal_undoes_the_effect_and_is_recorded(store: SqliteStore) -> None:
    first, again = run(store, [refuse], call("a", "refuse"), call("a", "refuse"))
    for result in (first, again):
        assert isinstance(result.error, Refused)
        assert (result.error.code, result.sentence) == ("slot-taken", "Seven is taken.")
    assert again.replayed
    assert store.timers() == []
    assert state(store, "a") == "refused"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (call("a", "nothing"), "function-unknown"),
        (call("a", "staffOnly"), "function-forbidden"),
        (call("a", "keep", name=5), "arguments-invalid"),
        (call("a", "keep", nme="x"), "arguments-invalid"),
        (call("", "keep"), "arguments-invalid"),
        (call("a\n", "keep"), "arguments-invalid"),
        (call("\ud800", "keep"), "arguments-invalid"),
        (call("a" * 201, "keep"), "arguments-invalid"),
        (call("a", "keep", session="\ud800"), "arguments-invalid"),
    ],
)
def test_what_may_not_run_does_not_run(store: SqliteStore, wish: FunctionCall, code: str) -> None:
    (result,) = run(store, [keep, staff_only], wish)
    assert result.error is not None
    assert result.error.code == code
    assert result.sentence
    assert store.timers() == []


def test_staff_may_do_what_is_for_staff(store: SqliteStore) -> None:
    (result,) = run(store, [staff_only], call("a", "staffOnly", "staff"))
    assert (result.value, result.sentence) == ({"sentence": "Hello."}, "Hello.")


# -- time ---------------------------------------------------------------------------------------------------------
async def next_late(runner: Runner) -> LateResult:
    return await anext(runner.late())


def test_a_call_over_its_budget_goes_on_and_is_told_late(store: SqliteStore) -> None:
    leave = threading.Event()

    @function(effect=True, budget_s=0.01)
    def slow(ctx: Context) -> Outcome:
        """Be slow."""
        leave.wait(DEADLINE)
        with ctx.store.transaction() as writing:
            writing.add_timer("late", 1, NOW, NOW)
        return Outcome({"x": 1}, "Done.")

    async def script(runner: Runner) -> None:
        first = await runner.run(call("a", "slow", session="s"))
        assert isinstance(first.error, StillWorking)
        assert first.error.handle == "a"
        assert state(store, "a") == "running", "recorded before it was answered"
        after = await runner.run(call("b", "keep", session="s", name="after"))
        assert after.error is None, "the session's queue goes on"
        again = await runner.run(call("a", "slow", session="s"))
        asked = await runner.look_up("a")
        assert isinstance(again.error, StillWorking)
        assert asked is not None
        assert isinstance(asked.error, StillWorking)
        leave.set()
        late = await next_late(runner)
        assert (late.call.id, late.result.value, late.result.sentence) == ("a", {"x": 1}, "Done.")
        found = await runner.look_up("a")
        assert found is not None
        assert found.value == {"x": 1}
        assert await runner.look_up("unknown") is None

    play(store, [slow, keep], script)
    assert [timer.name for timer in store.timers()] == ["after", "late"]
    assert [waiting.text for waiting in store.unheard()] == ["Kept.", "Done."]
    with store.reading() as reading:
        assert [record.id for record in reading.undelivered()] == ["a"]


def test_the_caller_may_have_less_time_than_the_function(store: SqliteStore) -> None:
    leave = threading.Event()

    @function()
    def slow() -> str:
        """Be slow."""
        leave.wait(DEADLINE)
        return "Done."

    async def script(runner: Runner) -> FunctionResult:
        result = await runner.run(call("a", "slow"), budget_s=0.01)
        leave.set()
        await next_late(runner)
        return result

    assert isinstance(play(store, [slow], script).error, StillWorking)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_does_not_end_is_given_up_at_the_limit(store: SqliteStore, kind: str) -> None:
    leave, cancelled = threading.Event(), threading.Event()

    @function(effect=True, budget_s=0.01)
    def endless(ctx: Context) -> str:
        """Never end."""
        leave.wait(DEADLINE)
        with ctx.store.transaction() as writing:
            writing.add_timer("never", 1, NOW, NOW)
        return "Done."

    @function(budget_s=0.01)
    async def endless_async() -> str:
        """Wait for somebody."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    async def scene() -> LateResult:
        registry = Registry([spec_of(endless), spec_of(endless_async)])
        runner = Runner(registry, store, contexts, limit_s=0.05)
        await runner.run(call("a", "endless" if kind == "sync" else "endlessAsync"))
        late = await asyncio.wait_for(next_late(runner), DEADLINE)
        leave.set()
        return late

    late = asyncio.run(scene())
    assert isinstance(late.result.error, FunctionTimedOut)
    assert state(store, "a") == "failed"
    assert kind == "sync" or cancelled.is_set()
    with store.transaction() as writing:  # what comes late gives up at its commit, before us
        assert writing.timers() == []


def test_a_crash_while_a_call_goes_on_is_made_good(store: SqliteStore) -> None:
    record = RecordedCall("a", "keep", {"name": "tea"}, "call", "s", "running", None, "", "", NOW)
    gone = replace(record, id="b", name="gone")
    with store.transaction() as writing:
        writing.record_function_call(record)
        writing.record_function_call(gone)

    async def script(runner: Runner) -> dict[str, FunctionResult]:
        await runner.resume()
        lates = [await next_late(runner) for _ in range(2)]
        return {late.call.id: late.result for late in lates}

    results = play(store, [keep], script)
    assert results["a"].sentence == "Kept."
    assert results["b"].error is not None
    assert [timer.name for timer in store.timers()] == ["tea"]
    store.close()
    again = SqliteStore(store.path)

    async def told(runner: Runner) -> set[str]:
        await runner.resume()
        return {(await next_late(runner)).call.id for _ in range(2)}

    assert play(again, [keep], told) == {"a", "b"}, "ended, and not told yet"
    assert len(again.timers()) == 1


def test_an_id_belongs_to_one_call(store: SqliteStore) -> None:
    results = run(
        store,
        [keep, refuse],
        call("a", "keep", name="tea"),
        call("a", "keep", name="coffee"),
        call("a", "refuse"),
        call("a", "keep", name="tea"),
    )
    codes = [result.error.code if result.error else "" for result in results]
    assert codes == ["", "id-reused", "id-reused", ""]

    async def at_once(runner: Runner) -> list[FunctionResult]:
        return await asyncio.gather(runner.run(call("b", "keep", name="x")), runner.run(call("b", "keep", name="y")))

    first, second = play(store, [keep], at_once)
    assert first.error is None
    assert isinstance(second.error, IdReused)


def test_a_thousand_calls_at_once_each_run_once_and_the_voice_does_not_wait_for_them(store: SqliteStore) -> None:
    many, running, most = 1000, 0, 0
    lock, open_ = threading.Lock(), threading.Event()

    @function(effect=True, budget_s=60)
    def held(ctx: Context, name: str = "") -> str:
        """Wait, then keep."""
        open_.wait(DEADLINE)
        with ctx.store.transaction() as writing:
            writing.add_timer(name, 1, NOW, NOW)
        return "Done."

    @function(at_once=2, budget_s=60)
    def rare() -> str:
        """Only two side by side."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return ""

    async def script(runner: Runner) -> None:
        calls = [
            asyncio.create_task(runner.run(call(f"c{n}", "held", "call", f"s{n}", name=f"n{n}"))) for n in range(many)
        ]
        spoken = await runner.run(call("v", "keep", "voice", "room"))
        assert spoken.error is None
        assert not any(task.done() for task in calls), "it did not wait for any of them"
        open_.set()
        results = await asyncio.gather(*calls)
        assert not [result for result in results if result.error is not None]
        await asyncio.gather(*(runner.run(call(f"r{n}", "rare", "call")) for n in range(20)))

    store = SqliteStore(store.path, wait_s=DEADLINE)
    play(store, [held, keep, rare], script)
    assert len(store.timers()) == many + 1
    assert most <= 2


# -- order --------------------------------------------------------------------------------------------------------
def test_effects_of_a_session_keep_their_order_and_others_go_on(store: SqliteStore) -> None:
    order: list[str] = []
    gate = asyncio.Event()

    @function(effect=True)
    async def step(name: str) -> str:
        """Take a step."""
        if name == "first":
            await gate.wait()
        order.append(name)
        return name

    @function()
    async def look(name: str) -> str:
        """Look."""
        order.append(name)
        return name

    async def script(runner: Runner) -> None:
        def start(id: str, name: str, session: str, what: str = "step") -> asyncio.Task[FunctionResult]:
            return asyncio.ensure_future(runner.run(call(id, what, session=session, name=name)))

        tasks = [start("1", "first", "a"), start("2", "second", "a"), start("3", "look", "a", "look")]
        await start("4", "other session", "b")
        await start("5", "other look", "b", "look")
        gate.set()
        await asyncio.gather(*tasks)

    play(store, [step, look], script)
    assert order[:3] == ["other session", "other look", "first"]
    assert set(order[3:]) == {"second", "look"}


# -- what an author may do ----------------------------------------------------------------------------------------
def test_answers_of_all_kinds(store: SqliteStore) -> None:
    @function()
    def mapping() -> dict[str, int]:
        """Give a mapping."""
        return {"a": 1}

    @function()
    async def nothing() -> None:
        """Give nothing."""

    @function()
    def number() -> int:
        """Give what is no answer."""
        return 5

    @function()
    def odd() -> Outcome:
        """Give what is no JSON."""
        return Outcome({"a": {1, 2}})

    @function()
    def leave() -> str:
        """Try to end the program."""
        raise SystemExit(1)

    names = ("mapping", "nothing", "number", "odd", "leave")
    results = run(store, [mapping, nothing, number, odd, leave], *(call(name, name) for name in names))
    assert [result.value for result in results] == [{"a": 1}, {}, None, None, None]
    assert all(result.error and result.error.code == "function-failed" for result in results[2:])


def test_a_read_cannot_change_the_store_nor_can_an_async_function(store: SqliteStore) -> None:
    @function()
    def reads(ctx: Context) -> str:
        """Claim to read."""
        with ctx.store.transaction() as writing:
            writing.add_timer("", 1, NOW, NOW)
        return "."

    @function(effect=True)
    async def awaits(ctx: Context) -> str:
        """Write while awaiting."""
        with ctx.store.transaction() as writing:
            writing.add_timer("", 1, NOW, NOW)
        return "."

    results = run(store, [reads, awaits], call("a", "reads"), call("b", "awaits"))
    assert all(result.error for result in results)
    assert store.timers() == []


def test_nothing_is_kept_after_a_swallowed_failure(store: SqliteStore) -> None:
    @function(effect=True)
    def swallows(ctx: Context) -> str:
        """Go on after a failure."""
        try:
            with ctx.store.transaction() as writing:
                writing.add_timer("", 1, NOW, NOW)
                raise KeyError("half done")
        except KeyError:
            return "All fine."

    (result,) = run(store, [swallows], call("a", "swallows"))
    assert result.error is not None
    assert store.timers() == []


def test_a_store_that_fails_is_told_and_the_call_may_come_again(store: SqliteStore) -> None:
    store._writer.execute("PRAGMA query_only = ON")
    (failed,) = run(store, [keep], call("a", "keep"))
    assert isinstance(failed.error, StoreFailed)
    assert failed.sentence == "Sorry, I can't reach my book right now."
    store._writer.execute("PRAGMA query_only = OFF")
    (done,) = run(store, [keep], call("a", "keep"))
    assert done.value == {"id": 1}
    assert not done.replayed


def test_two_processes_with_the_same_call_have_one_result(store: SqliteStore) -> None:
    other = SqliteStore(store.path)

    @function(effect=True)
    def race(ctx: Context) -> Outcome:
        """Come second."""
        run(other, [keep_as_race], call("a", "race"))
        with ctx.store.transaction() as writing:
            writing.add_timer("loser", 1, NOW, NOW)
        return Outcome({"id": 0}, "Lost.")

    @function(effect=True)
    def keep_as_race(ctx: Context) -> Outcome:
        """Come first."""
        with ctx.store.transaction() as writing:
            return Outcome({"id": writing.add_timer("winner", 1, NOW, NOW)}, "Won.")

    object.__setattr__(spec_of(keep_as_race), "name", "race")
    (result,) = run(store, [race], call("a", "race"))
    assert (result.sentence, result.replayed) == ("Won.", True)
    assert [timer.name for timer in store.timers()] == ["winner"]


# -- a crash ------------------------------------------------------------------------------------------------------
CRASH = """
    import asyncio, os, signal, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from device.functions.contract import FunctionCall
    from device.functions.group import Group
    from device.functions.hours import BookSettings
    from device.functions.registry import Registry
    from device.functions.runner import Runner, context_factory
    from device.functions.sqlite_store import SqliteStore

    def finish(group, commit, lost, finish=Group._finish):
        if sys.argv[2] == "after":
            finish(group, commit, lost)
        os.kill(os.getpid(), signal.SIGKILL)

    Group._finish = finish
    runner = Runner(Registry.load(), SqliteStore(Path(sys.argv[1])), context_factory(
        lambda: datetime(2026, 12, 1, 14, 20, tzinfo=UTC), UTC, BookSettings()))
    wish = FunctionCall("a", "bookAppointment", {"date": "2026-12-02", "time": "19:00"}, "voice", "s")
    asyncio.run(runner.run(wish))
"""


@pytest.mark.parametrize(("moment", "replayed"), [("before", False), ("after", True)])
def test_killed_at_the_commit(tmp_path: Path, moment: str, replayed: bool) -> None:
    path = tmp_path / "wakeline.db"
    SqliteStore(path).close()
    root = Path(__file__).parent.parent
    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(path), moment],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL
    store = SqliteStore(path)
    assert len(store.unheard()) == (1 if replayed else 0)
    runner = Runner(Registry.load(), store, contexts)
    wish = FunctionCall("a", "bookAppointment", {"date": "2026-12-02", "time": "19:00"}, "voice", "s")
    result = asyncio.run(runner.run(wish))
    assert (result.replayed, result.error) == (replayed, None)
    assert result.sentence.startswith("You're booked for tomorrow at 7 PM. Your code is ")
    with store.reading() as reading:
        assert len(reading.appointments()) == 1
    assert [waiting.text for waiting in store.unheard()] == [result.sentence]
