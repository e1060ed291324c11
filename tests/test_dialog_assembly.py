"""A dialog built from the configuration and the registry: a function is one Python file and one YAML file."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from device.config import Config
from device.dialog.assembly import build_dialog, dialog_settings, forms_of
from device.functions.contract import FunctionCall, FunctionResult
from device.functions.registry import Registry
from device.settings import PathsSection

NOW = datetime(2026, 12, 1, 15, 20, tzinfo=ZoneInfo("Europe/Berlin"))
PYTHON = '''
"""The kitchen."""
from datetime import date
from typing import Annotated, Literal

from device.functions.registry import function
from device.functions.schema import Slot


@function(effect=True, alias=("cookDish",), confirm="{size} {dishName} for {day}, right?")
def order_dish(
    dish_name: Annotated[str, Slot(question="Which dish?")], size: Literal["small", "large"], day: date
) -> str:
    """Orders a dish."""
    return "Ordered."
'''
YAML = """
intents:
  orderDish:
    example: order a dish
    sentences: ["order [a|some] [{size}] (dish|{text:dishName}) [{date:day}]"]
lists:
  size: {values: [small, large]}
"""


class _Runner:
    def __init__(self) -> None:
        self.calls: list[FunctionCall] = []

    async def run(self, call: FunctionCall) -> FunctionResult:
        self.calls.append(call)
        return FunctionResult(call.id, value={}, sentence="Ordered.")


def test_a_function_of_one_python_and_one_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "kitchen.py").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "kitchen.yaml").write_text(YAML, encoding="utf-8")
    registry, runner = Registry.load([tmp_path]), _Runner()
    config = Config(paths=PathsSection(state_dir=tmp_path, runtime_dir=tmp_path, extensions=tmp_path))
    dialog = build_dialog(config, registry, runner, lambda: NOW)

    async def talk() -> list[str]:
        texts = ["order a dish tomorrow", "Spaghetti Bolognese", "large", "yes"]
        return [(await dialog.answer(text, None, "s", str(n))).text for n, text in enumerate(texts)]

    assert asyncio.run(talk()) == [
        "Which dish?",
        "What is the size?",
        "large spaghetti bolognese for tomorrow, right?",
        "Ordered.",
    ]
    assert runner.calls[0].arguments == {"day": "2026-12-02", "dishName": "spaghetti bolognese", "size": "large"}
    assert forms_of(registry).get("cookDish") == forms_of(registry).get("orderDish")


def test_settings_come_from_the_configuration() -> None:
    settings = dialog_settings(Config())
    assert [callee.name for callee in settings.callees] == ["front desk"]
    assert settings.hours(date(2026, 12, 1)) == ((time(9), time(22)),)
    assert settings.sentences == ()
