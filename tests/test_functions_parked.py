"""The runner beyond the plain call: over budget, after a restart, a used id, a thousand at once, who goes first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.functions.context import Context, Outcome
from device.functions.contract import (
    FunctionCall,
    FunctionResult,
    FunctionTimedOut,
    IdReused,
    LateResult,
    Origin,
    StillWorking,
)
from device.functions.hours import BookSettings
from device.functions.registry import Registry, function, spec_of
from device.functions.runner import Runner, context_factory
from device.functions.sqlite_store import SqliteStore

NOW = datetime(2026, 12, 1, 14, 20, tzinfo=UTC)
DEADLINE = 10.0
contexts = context_factory(lambda: NOW, UTC, BookSettings())
Script = Callable[[Runner], Awaitable[Any]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "wakeline.db")
    yield opened
    opened.close()


def call(id: str, function_name: str, /, origin: Origin = "call", session: str = "", **arguments: Any) -> FunctionCall:
    return FunctionCall(id, function_name, arguments, origin, session)


def play(store: SqliteStore, functions: list[Callable[..., Any]], script: Script, limit_s: float = 60.0) -> Any:
    async def scene() -> Any:
        runner = Runner(Registry(spec_of(one) for one in functions), store, contexts, limit_s=limit_s)
        answer = await asyncio.wait_for(script(runner), DEADLINE)
        await asyncio.wait_for(runner.drain(), DEADLINE)
        return answer

    return asyncio.run(scene())


async def next_late(runner: Runner) -> LateResult:
    return await asyncio.wait_for(anext(runner.late()), DEADLINE)


def code(result: FunctionResult | None) -> str:
    return "" if result is None or result.error is None else result.error.code


class Slow:
    """A function that goes on until it is let go."""

    def __init__(self, *, effect: bool = True) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        self.runs = 0

        @function(effect=effect, budget_s=0.02)
        def slow(ctx: Context, name: str = "") -> Outcome:
            """Take a while."""
            self.runs += 1
            self.entered.set()
            assert self.go.wait(DEADLINE)
            if effect:
                with ctx.store.transaction() as writing:
                    writing.add_timer(name or ctx.call_id, 1, NOW, NOW)
            return Outcome({"by": ctx.call_id}, "Done.")

        self.function = slow


@function(effect=True)
def keep(ctx: Context, name: str = "") -> Outcome:
    """Keep something."""
    with ctx.store.transaction() as writing:
        id = writing.add_timer(name, 1, NOW, NOW)
    return Outcome({"id": id}, "Kept.")


@function()
def look(ctx: Context) -> Outcome:
    """See what is kept."""
    with ctx.store.reading() as reading:
        return Outcome({"names": [timer.name for timer in reading.timers()]})


@function()
async def ask(name: str = "") -> str:
    """Say it back."""
    return name


def names(store: SqliteStore) -> list[str]:
    return [timer.name for timer in store.timers()]


# -- over its budget ----------------------------------------------------------------------------------------------
def test_over_its_budget_it_is_recorded_goes_on_and_is_told_later(store: SqliteStore) -> None:
    slow = Slow()

    async def script(runner: Runner) -> None:
        first = await runner.run(call("a", "slow", session="s"))
        assert isinstance(first.error, StillWorking)
        assert first.error.handle == "a"
        with store.reading() as reading:
            assert [one.id for one in reading.running_calls()] == ["a"]
        assert code(await runner.look_up("a")) == "still-working"
        assert code(await runner.run(call("a", "slow", session="s"))) == "still-working"
        after = await runner.run(call("b", "keep", session="s", name="after"))  # the queue goes on
        assert after.value is not None
        slow.go.set()
        late = await next_late(runner)
        assert (late.call.id, late.result.value, late.result.sentence) == ("a", {"by": "a"}, "Done.")
        found = await runner.look_up("a")
        assert found is not None
        assert found.value == {"by": "a"}
        repeated = await runner.run(call("a", "slow", session="s"))
        assert (repeated.value, repeated.replayed) == ({"by": "a"}, True)

    play(store, [slow.function, keep], script)
    assert slow.runs == 1
    assert names(store) == ["after", "a"]
    with store.reading() as reading:
        assert reading.running_calls() == []
        assert [one.id for one in reading.undelivered()] == ["a"]
    with store.transaction() as writing:
        assert writing.mark_delivered("a")
        assert not writing.mark_delivered("a")
        assert writing.undelivered() == []


@pytest.mark.parametrize("effect", [False, True])
def test_a_late_answer_by_voice_waits_to_be_heard(store: SqliteStore, effect: bool) -> None:
    slow = Slow(effect=effect)

    async def script(runner: Runner) -> None:
        assert code(await runner.run(call("a", "slow", "voice"))) == "still-working"
        slow.go.set()
        await next_late(runner)

    play(store, [slow.function], script)
    assert [(one.reply, one.text) for one in store.unheard()] == [("a", "Done.")]


def test_a_caller_may_have_less_patience(store: SqliteStore) -> None:
    gate = asyncio.Event()

    @function(budget_s=60)
    async def wait() -> str:
        """Wait."""
        await gate.wait()
        return "Now."

    async def script(runner: Runner) -> None:
        assert code(await runner.run(call("a", "wait"), budget_s=0.01)) == "still-working"
        gate.set()
        assert (await next_late(runner)).result.sentence == "Now."

    play(store, [wait], script)


def test_who_goes_on_too_long_is_given_up_and_undone(store: SqliteStore) -> None:
    slow = Slow()

    async def script(runner: Runner) -> None:
        assert code(await runner.run(call("a", "slow", "voice"))) == "still-working"
        late = await next_late(runner)
        assert isinstance(late.result.error, FunctionTimedOut)
        slow.go.set()
        again = await runner.run(call("a", "slow", "voice"))
        assert isinstance(again.error, FunctionTimedOut)
        assert again.replayed

    play(store, [slow.function], script, limit_s=0.1)
    with store.transaction() as writing:
        assert writing.timers() == []
    assert [one.reply for one in store.unheard()] == ["a"]


def test_an_end_between_the_budget_and_its_record_is_told_once(store: SqliteStore) -> None:
    """Whatever comes first, the caller has one answer, and a late one only after "still working"."""

    @function(effect=True, budget_s=0.001)
    def close(ctx: Context) -> str:
        """End at about the time of its budget."""
        with ctx.store.transaction() as writing:
            writing.add_timer(ctx.call_id, 1, NOW, NOW)
        return "Done."

    async def script(runner: Runner) -> tuple[list[FunctionResult], list[str]]:
        results = await asyncio.gather(*(runner.run(call(f"c{n}", "close")) for n in range(100)))
        late = [(await next_late(runner)).call.id for result in results if code(result) == "still-working"]
        return results, late

    results, late = play(store, [close], script)
    assert sorted(late) == sorted(result.id for result in results if code(result) == "still-working")
    assert {code(result) for result in results} <= {"", "still-working"}
    assert len(names(store)) == 100
    with store.reading() as reading:
        assert sorted(one.id for one in reading.undelivered()) == sorted(late)


# -- after a restart ----------------------------------------------------------------------------------------------
def test_what_was_running_runs_again_under_its_id(store: SqliteStore) -> None:
    slow = Slow()

    async def dies(runner: Runner) -> None:
        assert code(await runner.run(call("a", "slow", session="s"))) == "still-working"

    play(store, [slow.function], dies)
    assert names(store) == []
    slow.go.set()
    again = Slow()
    again.go.set()

    async def back(runner: Runner) -> None:
        for budget_s in (60, 0.0):  # a retry that comes before us runs nothing, however little time it has
            assert code(await runner.run(call("a", "slow", session="s"), budget_s=budget_s)) == "still-working"
            await runner.drain()
        assert again.runs == 0
        await runner.resume()
        late = await next_late(runner)
        assert (late.call.id, late.call.session, late.result.value) == ("a", "s", {"by": "a"})

    play(store, [again.function], back)
    assert again.runs == 1
    assert names(store) == ["a"]
    with store.reading() as reading:
        assert reading.running_calls() == []


def test_what_ended_and_was_not_told_is_told_after_a_restart(store: SqliteStore) -> None:
    slow = Slow()

    async def script(runner: Runner) -> None:
        assert code(await runner.run(call("a", "slow"))) == "still-working"
        slow.go.set()
        await next_late(runner)

    async def back(runner: Runner) -> LateResult:
        await runner.resume()
        return await next_late(runner)

    play(store, [slow.function], script)
    late = play(store, [slow.function], back)
    assert (late.call.id, late.result.value) == ("a", {"by": "a"})


def test_a_function_that_is_gone_ends_its_call(store: SqliteStore) -> None:
    slow = Slow()

    async def dies(runner: Runner) -> None:
        assert code(await runner.run(call("a", "slow"))) == "still-working"

    async def back(runner: Runner) -> None:
        await runner.resume()
        assert code((await next_late(runner)).result) == "function-unknown"

    play(store, [slow.function], dies)
    play(store, [keep], back)
    slow.go.set()
    with store.reading() as reading:
        assert reading.running_calls() == []


# -- one id, one call ---------------------------------------------------------------------------------------------
def test_an_id_belongs_to_one_call(store: SqliteStore) -> None:
    slow = Slow()

    async def script(runner: Runner) -> None:
        first = await runner.run(call("a", "keep", name="x"))
        assert first.value is not None
        for other in (call("a", "keep", name="y"), call("a", "ask", name="x"), call("a", "keep")):
            assert isinstance((await runner.run(other)).error, IdReused)
        assert (await runner.run(call("a", "keep", "web", name="x"))).value == first.value
        assert code(await runner.run(call("b", "slow", name="x"))) == "still-working"
        assert isinstance((await runner.run(call("b", "slow", name="y"))).error, IdReused)
        assert isinstance((await runner.run(call("b", "keep", name="x"))).error, IdReused)
        slow.go.set()
        await next_late(runner)

    play(store, [keep, ask, slow.function], script)
    assert names(store) == ["x", "x"]


# -- many ---------------------------------------------------------------------------------------------------------
def test_a_thousand_calls_at_once_run_once_each(store: SqliteStore) -> None:
    async def script(runner: Runner) -> list[FunctionResult]:
        def wish(n: int) -> FunctionCall:
            named = {"name": str(n)} if n % 3 < 2 else {}
            return FunctionCall(f"{n}", ("keep", "ask", "look")[n % 3], named, "call", f"s{n % 97}")

        once = [wish(n) for n in range(1000)]
        return list(await asyncio.gather(*(runner.run(one, budget_s=60) for one in [*once, *once[::5]])))

    results = play(store, [keep, ask, look], script)
    assert all(result.error is None for result in results)
    assert sorted(names(store)) == sorted(str(n) for n in range(1000) if n % 3 == 0)
    with store.reading() as reading:
        assert len(reading.function_calls(most=5000)) == 1000


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["step", "step_async", "see"])), min_size=1, max_size=30)
)
def test_effects_keep_the_order_of_their_session(tmp_path: Path, plan: list[tuple[str, str]]) -> None:
    order: dict[str, list[int]] = {}
    seen: dict[int, list[int]] = {}

    @function(effect=True)
    def step(ctx: Context, n: int) -> str:
        """Take a step."""
        order.setdefault(ctx.session, []).append(n)
        with ctx.store.transaction() as writing:
            writing.add_timer(ctx.session, n, NOW, NOW)
        return "."

    @function(effect=True, alias=("step_async",))
    async def step_async(ctx: Context, n: int) -> str:
        """Take a step and let others go on meanwhile."""
        await asyncio.sleep(0)
        order.setdefault(ctx.session, []).append(n)
        return "."

    @function()
    async def see(ctx: Context, n: int) -> str:
        """Look at the steps."""
        seen[n] = list(order.get(ctx.session, []))
        return "."

    async def script(runner: Runner) -> None:
        wishes = [call(f"{n}", what, session=session, n=n) for n, (session, what) in enumerate(plan)]
        results = await asyncio.gather(*(runner.run(wish, budget_s=60) for wish in wishes))
        assert all(result.error is None for result in results)

    path = tmp_path / "wakeline.db"
    path.unlink(missing_ok=True)
    opened = SqliteStore(path)
    play(opened, [step, step_async, see], script)
    opened.close()
    for session in "abc":
        effects = [n for n, (whose, what) in enumerate(plan) if whose == session and what != "see"]
        assert order.get(session, []) == effects
    for n, (session, what) in enumerate(plan):
        if what == "see":
            before = [m for m in range(n) if plan[m][0] == session and plan[m][1] != "see"]
            assert seen[n][: len(before)] == before


def test_functions_that_hang_do_not_stop_the_others(store: SqliteStore) -> None:
    slow = Slow()

    async def script(runner: Runner) -> None:
        hung = await asyncio.gather(*(runner.run(call(f"h{n}", "slow", name="")) for n in range(30)))
        assert {code(one) for one in hung} == {"still-working"}
        assert (await runner.run(call("a", "keep"))).value is not None
        slow.go.set()
        assert sorted([(await next_late(runner)).call.id for _ in range(30)]) == sorted(f"h{n}" for n in range(30))

    play(store, [slow.function, keep], script)


def test_the_voice_does_not_wait_for_phone_calls(store: SqliteStore) -> None:
    go = threading.Event()

    @function(budget_s=60)
    def busy() -> str:
        """Keep a thread."""
        assert go.wait(DEADLINE)
        return "."

    async def script(runner: Runner) -> None:
        many = [asyncio.ensure_future(runner.run(call(f"c{n}", "busy"))) for n in range(200)]
        await asyncio.sleep(0)
        for origin in ("voice", "text", "staff"):
            result = await runner.run(call(origin, "keep", origin))
            assert result.value is not None
        assert not any(one.done() for one in many)
        go.set()
        await asyncio.gather(*many)

    play(store, [busy, keep], script)


def test_so_many_of_one_function_run_side_by_side(store: SqliteStore) -> None:
    at_work: list[int] = [0, 0]

    @function(budget_s=60)
    async def few() -> str:
        """Count who is there."""
        at_work[0] += 1
        at_work[1] = max(at_work)
        for _ in range(5):
            await asyncio.sleep(0)
        at_work[0] -= 1
        return "."

    object.__setattr__(spec_of(few), "at_once", 3)

    async def script(runner: Runner) -> None:
        await asyncio.gather(*(runner.run(call(f"{n}", "few")) for n in range(50)))

    play(store, [few], script)
    assert at_work[1] <= 3


def test_a_read_is_answered_before_it_is_on_the_disk_and_recorded_all_the_same(
    store: SqliteStore,
) -> None:
    async def script(runner: Runner) -> None:
        inside, go = threading.Event(), threading.Event()

        def hold() -> None:
            with store.transaction():
                inside.set()
                assert go.wait(DEADLINE)

        holding = threading.Thread(target=hold)
        holding.start()
        await asyncio.to_thread(inside.wait, DEADLINE)
        result = await runner.run(call("r", "ask", name="hi"))
        assert result.sentence == "hi"
        repeated = await runner.run(call("r", "ask", name="hi"))
        assert repeated.sentence == "hi"
        go.set()
        await asyncio.to_thread(holding.join)

    play(store, [ask], script)
    with store.reading() as reading:
        record = reading.function_call("r")
    assert record is not None
    assert record.state == "done"
