"""When a call may be placed, and to whom: pure rules and their refusals.

CallRefusal           code "call-refused"          `sentence` can be spoken
|-- UnknownDestination  code "destination-unknown"
|-- BudgetSpent         code "call-budget-spent"
`-- CallUnderWay        code "call-under-way"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from device.calls.link import Destination

HOUR = 3600.0
_ARTICLE = re.compile(r"^(?:the|a|an|my|our)\s+")
_ANYBODY = frozenset({"", "person", "human", "somebody", "someone", "real person", "human being", "operator", "agent"})
_ALIKE = 0.8
"""How alike a misheard name must be; the user still hears it in the question for consent."""


class CallRefusal(Exception):
    code = "call-refused"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class UnknownDestination(CallRefusal):
    code = "destination-unknown"


class BudgetSpent(CallRefusal):
    code = "call-budget-spent"


class CallUnderWay(CallRefusal):
    code = "call-under-way"


@dataclass(frozen=True, slots=True)
class Budget:
    calls_per_hour: int = 6


def find_destination(destinations: Sequence[Destination], spoken: str) -> Destination:
    """The destination meant by a spoken name; "a person" means the first one that is no emergency."""
    if not destinations:
        raise UnknownDestination("Nobody is set up whom I could call.")
    wanted = _plain(spoken)
    named = {_plain(destination.name): destination for destination in destinations}
    if wanted in named:
        return named[wanted]
    ordinary = {name: destination for name, destination in named.items() if not destination.emergency}
    if wanted in _ANYBODY and ordinary:
        return next(iter(ordinary.values()))
    # An emergency is called without asking, so it is never guessed.
    close = difflib.get_close_matches(wanted, ordinary, n=1, cutoff=_ALIKE)
    if close:
        return ordinary[close[0]]
    known = " or ".join(spoken_name(destination) for destination in destinations)
    raise UnknownDestination(f"I don't know whom to call by that name. I can call {known}.")


def needs_consent(destination: Destination) -> bool:
    return not destination.emergency


def check(destination: Destination, budget: Budget, calls_last_hour: int, under_way: bool) -> None:
    """Raise the refusal that stands against one more call; an emergency has no budget."""
    if under_way:
        raise CallUnderWay("A call is already under way.")
    if not destination.emergency and calls_last_hour >= budget.calls_per_hour:
        raise BudgetSpent("I have placed all the calls I may place in an hour. Please try again later.")


def spoken_name(destination: Destination) -> str:
    """The name as it stands in a sentence: "the front desk", "Anna"."""
    name = destination.name.strip()
    return name if name[:1].isupper() or _ARTICLE.match(name) else f"the {name}"


def _plain(name: str) -> str:
    words = " ".join(re.sub(r"[^\w\s]", " ", name.casefold()).split())
    return _ARTICLE.sub("", words + " ").strip()
