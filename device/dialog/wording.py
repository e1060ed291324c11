"""What the dialog says: owns the filling of its sentences and how values are put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import Any

_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_FIELD = re.compile(r"\{(\w+)\}")

_SHORT = 40
"""Characters."""


class Wording:
    """The sentences of one language, from its `wording.yaml`."""

    def __init__(self, wording: Mapping[str, Any]) -> None:
        self._wording = wording
        self._spoken: Mapping[str, Any] = wording["spoken"]

    @property
    def usual(self) -> tuple[str, ...]:
        """The short sentences that are always the same."""
        texts = [text for text in self._wording.values() if isinstance(text, str) and "{" not in text]
        return tuple(text for text in texts if len(text) <= _SHORT)

    def say(self, key: str, turn: int = 0, **values: str) -> str:
        """The sentence of that name; of several the one for this try, the last one from then on."""
        sentence = self._wording[key]
        if isinstance(sentence, list):
            sentence = sentence[min(turn, len(sentence) - 1)]
        return fill(sentence, values)

    def result(self, function: str, value: Mapping[str, Any]) -> str:
        """What to say about a result that brings no sentence."""
        template = self._wording["results"].get(function)
        said = fill(template, {k: str(v) for k, v in value.items()}) if template else ""
        return said if said.strip() else self.say("done")  # what was done is never passed over in silence

    def callee(self, name: str) -> str:
        """A destination's name in a sentence: "the front desk", but "Anna"."""
        name = name.replace("-", " ").replace("_", " ")
        return fill(self._spoken["person" if name[:1].isupper() else "place"], {"name": name})

    def listed(self, words: Sequence[str]) -> str:
        """ "a, b, or c"."""
        if len(words) < 2:
            return "".join(words)
        return self.say("and", first=", ".join(words[:-1]), last=words[-1])

    def spoken(self, kind: str, value: Any, today: date) -> str:
        """A function argument in words: "Friday, December 4th"."""
        if kind == "date":
            return self._date(date.fromisoformat(value), today)
        if kind == "time":
            return self._time(time.fromisoformat(value))
        if kind == "duration":
            return self._duration(int(value))
        return str(value)

    def _date(self, day: date, today: date) -> str:
        for ahead, name in enumerate(("today", "tomorrow")):
            if day == today + timedelta(days=ahead):
                return str(self._spoken[name])
        ordinals = self._spoken["ordinal"]
        return fill(
            self._spoken["date"],
            {
                "weekday": self._spoken["weekdays"][day.weekday()],
                "month": self._spoken["months"][day.month - 1],
                "day": f"{day.day}{ordinals.get(day.day, ordinals['other'])}",
            },
        )

    def _time(self, at: time) -> str:
        if at.minute == 0 and at.hour in (0, 12):
            return str(self._spoken["noon" if at.hour else "midnight"])
        twelve = self._spoken["clock"] == 12
        hour = (at.hour % 12 or 12) if twelve else at.hour
        half = self._spoken["halves"]["pm" if at.hour >= 12 else "am"]
        return fill(
            self._spoken["time_minutes" if at.minute else "time"],
            {"hour": str(hour), "minute": f"{at.minute:02}", "half": half},
        )

    def _duration(self, seconds: int) -> str:
        parts = zip(("hour", "minute", "second"), (seconds // 3600, seconds // 60 % 60, seconds % 60), strict=True)
        words = [
            fill(self._spoken[unit]["one" if number == 1 else "many"], {"n": str(number)})
            for unit, number in parts
            if number
        ]
        return str(self._spoken["join"]).join(words)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its {fields}; a part in [brackets] is left out when one of its fields has no value."""

    def keep(part: re.Match[str]) -> str:
        return part[1] if all(name in values for name in _FIELD.findall(part[1])) else ""

    return _FIELD.sub(lambda name: values.get(name[1], ""), _OPTIONAL.sub(keep, template))
