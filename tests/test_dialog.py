"""The dialog's facade, its workflow table and its language files."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.dialog.dialog import Dialog
from device.dialog.language import LanguageInvalid, load_language
from device.dialog.reply import Reply
from device.dialog.sentences import Sentences
from device.dialog.talk import Heard, State
from device.dialog.workflow import TABLE
from tests.dialogues.house import BERLIN, House

NOW = datetime(2026, 12, 1, 15, 20, tzinfo=ZoneInfo(BERLIN))


def _house() -> tuple[House, Dialog]:
    house = House(lambda: NOW)
    return house, house.dialog(callees=["front desk"])


def _talk(dialog: Dialog, *texts: str, confidence: float | None = None) -> list[Reply]:
    async def play() -> list[Reply]:
        return [await dialog.answer(text, confidence, "s", f"t{n}") for n, text in enumerate(texts)]

    return asyncio.run(play())


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(itertools.product(State, Heard))


def test_call_ids_follow_from_the_turn() -> None:
    house, dialog = _house()
    _talk(dialog, "what time is it", "Set a timer for ten minutes")
    assert [call.id for call in house.calls] == ["t0:0", "t1:0"]
    assert {call.session for call in house.calls} == {"s"}
    assert {call.origin for call in house.calls} == {"voice"}


def test_a_retried_turn_uses_the_same_call_id_after_a_restart() -> None:
    first, dialog = _house()
    _talk(dialog, "Set a timer for ten minutes")
    second, dialog = _house()
    _talk(dialog, "Set a timer for ten minutes")
    assert first.calls == second.calls


def test_low_confidence_is_not_heard() -> None:
    house = House(lambda: NOW)
    dialog = house.dialog(callees=["front desk"], min_confidence=0.4)
    (reply,) = _talk(dialog, "Set a timer for ten minutes", confidence=0.2)
    assert (reply.text, reply.code, house.calls) == ("I didn't catch that.", "not-understood", [])


def test_forget_wipes_the_talk() -> None:
    _, dialog = _house()
    _talk(dialog, "Book a table")
    dialog.forget("s")
    assert asyncio.run(dialog.answer("Friday", None, "s", "later")).code == "not-understood"


def test_the_history_keeps_only_what_was_heard() -> None:
    _, dialog = _house()
    (reply,) = _talk(dialog, "what can you do")
    assert [(e.user, e.heard) for e in dialog.history("s")] == [("what can you do", "")]
    dialog.heard(reply.id, "You can say")
    assert [(e.user, e.heard) for e in dialog.history("s")] == [("what can you do", "You can say")]
    dialog.forget("s")
    assert dialog.history("s") == ()


def test_an_emergency_is_not_interruptible() -> None:
    dialog = House(lambda: NOW).dialog(callees=["front desk", "emergency"])
    (reply,) = _talk(dialog, "call emergency")
    assert not reply.interruptible


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("what time is it", True),
        ("set a timer", False),
        ("set a timer for", False),
        ("set a timer for ten minutes", True),
        ("book a table", False),
        ("book a table tomorrow at seven", False),
        ("book a table tomorrow at seven for four", True),
        ("book a table tomorrow at seven for four under the name anna", False),
        ("call the", False),
        ("call the front desk", True),
        ("never mind", True),
        ("purple monkey", False),
        ("", False),
    ],
)
def test_judge_of_a_partial(text: str, complete: bool) -> None:
    _, dialog = _house()
    assert dialog.judge(text) is complete


def test_judge_knows_what_was_asked() -> None:
    _, dialog = _house()
    assert not dialog.judge("eight", "s")
    _talk(dialog, "are you free on friday")
    assert dialog.judge("eight", "s")
    assert "at eight" in dialog.expected("s")


def test_a_cancelled_turn_is_finished_and_the_next_one_knows_it() -> None:
    house, dialog = _house()

    async def talk() -> Reply:
        house.started, house.gate = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(dialog.answer("set a timer for ten minutes", None, "s", "a"))
        await house.started.wait()
        first.cancel()
        again = asyncio.create_task(dialog.answer("set a timer for ten minutes", None, "s", "a"))
        house.gate.set()
        return await again

    reply = asyncio.run(talk())
    assert reply.committed
    assert len(house.calls) == 1


def test_turns_of_one_session_wait_for_each_other() -> None:
    house, dialog = _house()

    async def both() -> list[Reply]:
        return list(
            await asyncio.gather(
                dialog.answer("set a timer", None, "s", "a"), dialog.answer("ten minutes", None, "s", "b")
            )
        )

    assert [reply.code for reply in asyncio.run(both())] == ["asked", "answered"]
    assert len(house.calls) == 1


_PIECES = st.sampled_from(
    [
        *("book a table", "set a timer", "what time is it", "send a message", "call", "call the front desk", "purple"),
        *("tomorrow", "at seven", "for four", "under the name", "yes", "no", "never mind", "actually", "stop"),
        *("help", "repeat"),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.text(max_size=40), st.lists(_PIECES, max_size=4).map(" ".join)), max_size=6))
def test_any_talk_is_answered(texts: list[str]) -> None:
    replies = _talk(_DIALOG, *texts)
    _DIALOG.forget("s")
    assert all(isinstance(reply, Reply) and reply.code for reply in replies)
    assert all(reply.text or reply.code == "stopped" for reply in replies)


_DIALOG = _house()[1]


# -- language files -----------------------------------------------------------------------------------------------
def _written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_users_sentences_are_merged(tmp_path: Path) -> None:
    extra = _written(
        tmp_path, 'intents: {getWeather: {example: "the weather", sentences: ["what\'s the weather {date}"]}}'
    )
    language = load_language("en", [extra])
    found = Sentences(language, ["getWeather"], []).understand("What's the weather tomorrow?", NOW)
    assert found is not None
    assert (found.intent, [name for name, _ in found.said]) == ("getWeather", ["date"])
    assert language.examples["getWeather"] == "the weather"


def test_sentences_of_another_language_are_left_out(tmp_path: Path) -> None:
    extra = _written(tmp_path, "language: de\nintents: {getTime: {sentences: [wie spät ist es]}}")
    assert len(load_language("en", [extra]).intents["getTime"]) == len(load_language("en").intents["getTime"])


@pytest.mark.parametrize(
    "text",
    [
        "intents: [",
        "- a list",
        "intent: {}",
        "intents: 3",
        "intents: {x: {data: 3}}",
        "intents: {x: {sentences: [1]}}",
        "intents: {getTime: {sentences: ['what (time']}}",
        "intents: {getTime: {sentences: ['<nothing>']}}",
        "intents: {getTime: {sentences: ['at {nowhere}']}}",
        "expansion_rules: {x: 3}",
        "lists: {x: 3}",
    ],
)
def test_a_bad_sentence_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    extra = _written(tmp_path, text)
    with pytest.raises(LanguageInvalid):
        Sentences(load_language("en", [extra]), ["getTime"], [])


def test_an_unknown_language_is_a_clear_error() -> None:
    with pytest.raises(LanguageInvalid, match="there is: en"):
        load_language("xx")
