"""How many scripted dialogues there are of each kind; `test_dialog_dialogues` and `test_dialog_builtin` play them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parent / "dialogues"
WORKFLOW = {
    "one by one": 6,
    "together": 6,
    "first": 12,
    "corrected": 10,
    "confirmed": 4,
    "abandoned": 8,
    "interrupted": 8,
    "asked again": 4,
    "not understood": 2,
    "a failure": 5,
    "two failures": 4,
    "still working": 2,
}
"""How the names begin, and at least so many of them."""
LOOP = {
    "dates": 13,
    "corrections": 20,
    "booking": 20,
    "requests": 25,
    "person": 18,
    "builtin/conflicts": 15,
    "builtin/strangers": 18,
    "builtin/clock": 4,
    "builtin/timers": 8,
    "builtin/visit": 5,
}
"""Files, and at least so many dialogues in them."""


def _scripts(file: str) -> list[dict[str, Any]]:
    scripts: list[dict[str, Any]] = yaml.safe_load((FOLDER / f"{file}.yaml").read_text("utf-8"))
    return scripts


def _story(script: dict[str, Any]) -> str:
    """What makes a dialogue another one: what is said, and the house it is said in."""
    said = [(turn["user"], turn.get("after"), turn.get("by"), turn.get("trusted")) for turn in script["turns"]]
    return repr((said, sorted((key, value) for key, value in script.items() if key not in ("name", "turns"))))


@pytest.mark.parametrize(("kind", "least"), WORKFLOW.items())
def test_the_workflow_has_dialogues_of_every_kind(kind: str, least: int) -> None:
    assert sum(script["name"].startswith(kind) for script in _scripts("workflow")) >= least


def test_the_workflow_has_sixty_different_dialogues() -> None:
    assert len({_story(script) for script in _scripts("workflow")}) >= 60


@pytest.mark.parametrize(("file", "least"), LOOP.items())
def test_the_loop_has_dialogues_of_every_kind(file: str, least: int) -> None:
    assert len({_story(script) for script in _scripts(file)}) >= least


def test_the_loop_has_eighty_different_dialogues() -> None:
    assert len({_story(script) for file in LOOP for script in _scripts(file)}) >= 80
