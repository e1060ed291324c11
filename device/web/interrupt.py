"""May a caller's words cut the assistant's speech? A pure policy on Vapi's speech and transcript events.

A partial transcript cuts while the assistant speaks, if it has more than two characters, is no filler, and is sure
enough. Partials of Vapi carry no confidence: then two that agree count, or one that is long. Once per turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from device.web.vapi_messages import Message, SpeechUpdate, Transcript, UserInterrupted

SURE = 0.7
SHORTEST = 3
"""Characters; "um" and a breath never cut."""
LONG_WORDS = 3
"""So many words need nobody's agreement."""
WINDOW_MS = 300
"""Without a turn's id, an interruption so soon after the last one is the same."""
FILLERS = frozenset(
    """um uhm umm uh uhh er erm ah aah oh ooh eh hm hmm hmmm mm mmm mhm mm-hmm mm-hm mmhmm uh-huh uhuh huh okay ok yeah
    yep yup yes right sure alright cool great good nice fine well so like and the a i see got it you know""".split()  # noqa: SIM905
)
"""Sounds and words of somebody who listens; words made only of them leave the assistant its turn."""
_WORD = re.compile(r"[^\W_]+(?:[-'\u2019:.][^\W_]+)*")


class Speech(Enum):
    """Who has the floor."""

    QUIET = "quiet"
    SPEAKING = "speaking"
    """The assistant."""
    CUT = "cut"
    """The assistant, and it has been told to stop in this turn."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What the policy remembers of a call."""

    speech: Speech = Speech.QUIET
    turn: str = ""
    heard: tuple[str, ...] = ()
    """The words of the last partial."""
    cut_ms: int = -WINDOW_MS
    """When the last interruption was decided."""


def heard(floor: Floor, message: Message, now_ms: int) -> tuple[Floor, bool]:
    """The floor after an event, and whether to interrupt now."""
    match message:
        case SpeechUpdate(role="assistant", status="started", turn=turn):
            same = now_ms - floor.cut_ms < WINDOW_MS if not turn else turn == floor.turn and _cut(floor)
            return Floor(Speech.CUT if same else Speech.SPEAKING, turn, (), floor.cut_ms), False
        case SpeechUpdate(role="assistant", status="stopped"):
            # Kept while it is told apart: the same turn may go on after its own pause.
            return replace(floor, speech=Speech.CUT if _cut(floor) and floor.turn else Speech.QUIET, heard=()), False
        case UserInterrupted():
            # Vapi has cut it by itself.
            return replace(floor, speech=Speech.CUT, heard=(), cut_ms=now_ms), False
        case Transcript(role="user"):
            return _said(floor, message, now_ms)
    return floor, False


def _cut(floor: Floor) -> bool:
    return floor.speech is Speech.CUT


def _said(floor: Floor, message: Transcript, now_ms: int) -> tuple[Floor, bool]:
    words = tuple(word.casefold() for word in _WORD.findall(message.text))
    if message.final:
        return replace(floor, heard=()), False
    after = replace(floor, heard=words)
    if floor.speech is not Speech.SPEAKING or not _counts(message.text, words):
        return after, False
    if message.confidence is not None:
        enough = message.confidence >= SURE
    else:
        enough = len(words) >= LONG_WORDS or _agree(floor.heard, words)
    return (replace(after, speech=Speech.CUT, cut_ms=now_ms), True) if enough else (after, False)


def _counts(text: str, words: tuple[str, ...]) -> bool:
    letters = sum(character.isalnum() for character in text)
    return letters >= SHORTEST and not all(word in FILLERS for word in words)


def _agree(before: tuple[str, ...], now: tuple[str, ...]) -> bool:
    """The second goes on where the first ended: its last word may have been half heard."""
    if not before or len(now) < len(before):
        return False
    return now[: len(before) - 1] == before[:-1] and now[len(before) - 1].startswith(before[-1])
