"""What the dialog needs to know of a function: its slots with their questions, and whether to confirm it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

SlotKind = Literal["date", "time", "duration", "integer", "number", "boolean", "name", "text", "choice", "code"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument of a function, as it is asked for."""

    name: str
    kind: SlotKind
    question: str
    retry: str = ""
    """Asked when the first answer was not understood; other words than the question."""
    required: bool = True
    options: tuple[str, ...] = ()
    """For a choice."""


@dataclass(frozen=True, slots=True)
class Form:
    """One function, in the order in which its slots are asked."""

    function: str
    slots: tuple[Slot, ...] = ()
    confirm: str = ""
    """Said before it runs, with {slot} in it; empty when it runs at once."""
    effect: bool = False
    """True when it changes something."""
    summary: str = ""

    def slot(self, name: str) -> Slot | None:
        """The slot of that name."""
        return next((slot for slot in self.slots if slot.name == name), None)

    def missing(self, values: Mapping[str, object], wanted: frozenset[str] = frozenset()) -> Slot | None:
        """The first slot without a value that is required, or wanted all the same."""
        open_ = (slot for slot in self.slots if slot.name not in values)
        return next((slot for slot in open_ if slot.required or slot.name in wanted), None)


class Forms:
    """The functions that the voice may call, by name."""

    def __init__(self, forms: Iterable[Form], aliases: Mapping[str, str] | None = None) -> None:
        self._forms = {form.function: form for form in forms}
        self._aliases = dict(aliases or {})

    def get(self, name: str) -> Form | None:
        """By name or alias."""
        return self._forms.get(self._aliases.get(name, name))

    @property
    def names(self) -> tuple[str, ...]:
        """Names and aliases."""
        return (*self._forms, *self._aliases)
