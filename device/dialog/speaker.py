"""The dialog's voice in words: owns which sentence goes with which step, and what is expected after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from device.dialog.language import Language
from device.dialog.talk import Ask, Confirm, Open, Person, Say, State, Step, Talk
from device.dialog.wording import Wording, fill
from device.functions.contract import FunctionResult

_EXAMPLES_IN_HELP = 6
_EXAMPLES_IN_MISS = 2


class Speaker:
    """Puts the steps of the workflow into sentences."""

    def __init__(self, language: Language, functions: Sequence[str], callees: Sequence[str]) -> None:
        self._wording = Wording(language.wording)
        self._expect: dict[str, list[str]] = language.words["expect"]
        known = [*functions, *(["callPerson"] if callees else [])]
        self._examples = [language.examples[name] for name in known if name in language.examples]
        self._callees = tuple(callees)

    @property
    def usual(self) -> tuple[str, ...]:
        """The sentences that are always the same, for the synthesizer."""
        return self._wording.usual

    def sentence(self, step: Step, today: date, *, heard_any: bool = True) -> str:
        """The sentence of a step that only speaks."""
        if isinstance(step, Ask):
            question = step.slot.question or self._wording.say("question", slot=step.slot.name)
            if not step.again or not heard_any:
                return question
            return step.slot.retry or self._wording.say("retry", question=question)
        if isinstance(step, Confirm):
            question = self._confirmation(step.open, today)
            return self._wording.say("confirm_again", question=question) if step.again else question
        if isinstance(step, Say):
            return self._said(step, heard_any=heard_any)
        return ""

    def not_heard(self) -> str:
        return self._wording.say("not_heard")

    def clock_untrusted(self) -> str:
        return self._wording.say("clock_untrusted")

    def aside(self, intent: str, heard: str) -> str:
        """The answer to what needs no function."""
        if intent == "help":
            return self._wording.say("help", examples=self._wording.listed(self._examples[:_EXAMPLES_IN_HELP]))
        if intent == "repeat":
            return heard or self._wording.say("nothing_to_repeat")
        return self._wording.say(intent)

    def placing(self, person: Person) -> str:
        return self._wording.say("placing", destination=self._wording.callee(person.destination))

    def unknown(self, who: str) -> str:
        if not self._callees:
            return self._wording.say("nobody")
        names = self._wording.listed([self._wording.callee(name) for name in self._callees])
        return self._wording.say("unknown_destination", who=who, destinations=names)

    def result(self, function: str, result: FunctionResult) -> str:
        """A function's own sentence, else the wording's for it."""
        if result.error is not None:
            return result.sentence or result.error.sentence
        return result.sentence or self._wording.result(function, result.value or {})

    def expected(self, talk: Talk) -> tuple[str, ...]:
        """Likely next words, for the recognizer."""
        if talk.state in (State.CONFIRMING, State.CONSENTING, State.FAILED):
            return tuple(self._expect["confirm"])
        if talk.state is State.ASKING and talk.open and (slot := talk.open[-1].missing):
            return slot.options or tuple(self._expect.get(slot.kind, ()))
        if talk.state is State.CHANGING and talk.open:
            kinds = dict.fromkeys(slot.kind for slot in talk.open[-1].form.slots)
            return tuple(word for kind in kinds for word in self._expect.get(kind, ()))
        return tuple(self._examples)

    def _confirmation(self, hand: Open, today: date) -> str:
        spoken = {
            slot.name: self._wording.spoken(slot.kind, hand.values[slot.name], today)
            for slot in hand.form.slots
            if slot.name in hand.values
        }
        return fill(hand.form.confirm, spoken)

    def _said(self, step: Say, *, heard_any: bool) -> str:
        """After "I didn't catch that." the sentence that says the same is left out."""
        if not heard_any and step.key in ("not_understood", "not_understood_answer"):
            return ""
        return self._wording.say(
            step.key,
            step.turn,
            examples=self._wording.listed(self._examples[:_EXAMPLES_IN_MISS]),
            destination=self._wording.callee(step.person.destination) if step.person else "",
        )
