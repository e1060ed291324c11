"""The dialog's facade: a text in, one `Reply` out. Owns sessions, the running of functions and what was heard."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from device.dialog import workflow
from device.dialog.forms import Forms
from device.dialog.keeping import frozen, thawed
from device.dialog.language import Language, load_language
from device.dialog.meaning import VALUES, anybody, asked_slot, meant, stranger
from device.dialog.reply import ClearAlert, Effect, PlaceCall, Reply
from device.dialog.sentences import Sentences, Understood
from device.dialog.settings import DialogSettings
from device.dialog.slots import Moment
from device.dialog.speaker import Speaker
from device.dialog.talk import Aside, Escalate, Input, Open, Outcome, Run, State, Talk
from device.dialog.workflow import Ran
from device.functions.contract import (
    BadArguments,
    FunctionCall,
    FunctionError,
    FunctionResult,
    Origin,
    Refused,
    StillWorking,
)

_FINAL = frozenset(("clock-untrusted", "code-locked", "too-many-timers", "no-timer"))
"""Refusals of the builtin functions that no other value turns into a yes."""
_MOST_REPLIES = 32
_MOST_EXCHANGES = 32
_MOST_RUNS = 4


class Runner(Protocol):
    """Runs functions; `device.functions.runner.Runner` is one."""

    async def run(self, call: FunctionCall) -> FunctionResult: ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn as both sides remember it."""

    reply: str
    user: str
    heard: str = ""
    """The words of the reply that were really played."""


@dataclass(slots=True)
class _Session:
    """One talk with one person."""

    talk: Talk = field(default_factory=Talk)
    last: datetime | None = None
    said: OrderedDict[str, Reply] = field(default_factory=OrderedDict)
    """Replies by turn: a turn that comes again gets the same one."""
    history: deque[Exchange] = field(default_factory=lambda: deque(maxlen=_MOST_EXCHANGES))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Turn:
    """What a turn has come to so far."""

    prefix: str
    session: str
    moment: Moment
    sentences: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    calls: int = 0
    committed: bool = False
    intent: str = ""

    def say(self, sentence: str) -> None:
        """Not twice: "say that again" may just have said the question that waits."""
        if not self.sentences or not self.sentences[-1].endswith(sentence):
            self.sentences.append(sentence)


class Dialog:
    """Answers what people say.

    `clock` gives the present with the house's time zone. Turns of one session are answered one after the other.
    """

    def __init__(
        self,
        forms: Forms,
        runner: Runner,
        settings: DialogSettings,
        clock: Callable[[], datetime],
        *,
        origin: Origin = "voice",
        language: Language | None = None,
    ) -> None:
        language = language or load_language(settings.language, settings.sentences)
        self._forms = forms
        self._runner = runner
        self._settings = settings
        self._clock = clock
        self._origin: Origin = origin
        self._sentences = Sentences(language, forms.names, [callee.name for callee in settings.callees])
        self._speaker = Speaker(language, forms.names, [callee.name for callee in settings.callees])
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._turns: set[asyncio.Task[Reply]] = set()

    async def answer(
        self,
        text: str,
        confidence: float | None,
        session: str,
        call_id_prefix: str,
        *,
        ringing: Sequence[str] = (),
        origin: Origin | None = None,
    ) -> Reply:
        """The reply to one turn. `ringing` names the alerts that ring; the same prefix again gets the same reply.

        A turn that is cancelled is still finished: an effect under way must not leave the talk behind it.
        """
        if confidence is not None and confidence < self._settings.min_confidence:
            text = ""
        coming = self._turn(text, session, call_id_prefix, tuple(ringing), origin or self._origin)
        task = asyncio.create_task(coming)
        self._turns.add(task)
        task.add_done_callback(self._turns.discard)
        return await asyncio.shield(task)

    def judge(self, text: str, session: str = "") -> bool:
        """Whether a partial text is already a complete request or answer."""
        talk = self._session(session).talk
        found = self._sentences.understand(text, self._clock(), _asked(talk))
        if found is None or found.loose:
            return False
        outcome = workflow.step(talk, self._meant(found, talk, self._moment()))
        return outcome.code != "not-understood" and not (
            outcome.talk.state is State.ASKING and found.intent not in VALUES
        )

    def heard(self, reply_id: str, text: str) -> None:
        """The words of a reply that were really played: only they are history, and only they can be repeated."""
        for kept in self._sessions.values():
            for index, exchange in enumerate(kept.history):
                if exchange.reply == reply_id:
                    kept.history[index] = replace(exchange, heard=text)

    def history(self, session: str) -> tuple[Exchange, ...]:
        """What was said in a session, the oldest first; forgotten with it."""
        return tuple(self._session(session).history)

    @property
    def usual(self) -> tuple[str, ...]:
        """The sentences that are always the same: they can be synthesized before they are needed."""
        return self._speaker.usual

    def expected(self, session: str) -> tuple[str, ...]:
        """What is expected next, for the recognizer."""
        return self._speaker.expected(self._session(session).talk)

    def kept(self, session: str) -> bytes | None:
        """The talk, for `restore` in another process; None when nothing was said yet."""
        kept = self._session(session)
        return None if kept.last is None else frozen(kept.talk, kept.last, _last_heard(kept))

    def restore(self, session: str, data: bytes) -> bool:
        """Go on with a talk that was kept; False when it cannot be used any more."""
        if (found := thawed(data, self._forms)) is None:
            return False
        kept = self._session(session)
        kept.talk, kept.last, heard = found
        kept.history.append(Exchange("", "", heard))
        return True

    def forget(self, session: str) -> None:
        """The person has left: what was talked about is wiped."""
        self._sessions.pop(session, None)

    # -- one turn -------------------------------------------------------------------------------------------------
    async def _turn(self, text: str, session: str, prefix: str, ringing: tuple[str, ...], origin: Origin) -> Reply:
        kept = self._session(session)
        async with kept.turn:
            if (same := kept.said.get(prefix)) is not None:
                return same
            reply = await self._reply(text, kept, session, prefix, ringing, origin)
            kept.last = self._clock()
            kept.said[prefix] = reply
            kept.history.append(Exchange(reply.id, text))
            while len(kept.said) > _MOST_REPLIES:
                kept.said.popitem(last=False)
            return reply

    async def _reply(
        self, text: str, kept: _Session, session: str, prefix: str, ringing: tuple[str, ...], origin: Origin
    ) -> Reply:
        moment = self._moment()
        asked = _asked(kept.talk)
        found = self._sentences.understand(text, moment.now, asked, ringing=bool(ringing)) if text.strip() else None
        turn = _Turn(prefix, session, moment, intent=found.intent if found else "")
        if found is not None and found.intent in ("stop", "cancel") and ringing:
            cleared = tuple(ClearAlert(alert) for alert in ringing)
            return Reply(prefix, "", "stopped", effects=cleared, follow_up=kept.talk.state is not State.IDLE)
        if found is not None and found.intent == "stop" and kept.talk.state is State.IDLE:
            return Reply(prefix, "", "stopped")
        if unknown := stranger(found):
            turn.sentences.append(self._speaker.unknown(unknown))
            return self._finish(turn, Outcome(kept.talk, (), "answered"), kept)
        if found is None and not text.strip():
            turn.sentences.append(self._speaker.not_heard())
        if found is not None and self._needs_a_day(found.intent) and not self._settings.clock_trusted():
            turn.say(self._speaker.clock_untrusted())
            return self._finish(turn, Outcome(kept.talk, (), "refused"), kept)
        outcome = workflow.step(kept.talk, self._meant(found, kept.talk, moment))
        return self._finish(turn, await self._perform(outcome, turn, kept, origin, heard_any=bool(text.strip())), kept)

    async def _perform(
        self, outcome: Outcome, turn: _Turn, kept: _Session, origin: Origin, *, heard_any: bool
    ) -> Outcome:
        """Does the steps of an outcome; a function that ran leads to a next outcome."""
        pending = list(outcome.steps)
        while pending:
            step = pending.pop(0)
            if isinstance(step, Run):
                if turn.calls >= _MOST_RUNS:
                    break
                after = await self._run(step.open, outcome.talk, turn, origin)
                code = after.code if after.code != "answered" or not after.steps else "asked"
                outcome = Outcome(after.talk, (), code)
                pending = list(after.steps) + pending
            elif isinstance(step, Aside):
                turn.sentences.append(self._speaker.aside(turn.intent, _last_heard(kept)))
            elif isinstance(step, Escalate):
                person = step.person
                turn.effects.append(PlaceCall(person.destination, person.reason, person.emergency))
                turn.sentences.append(self._speaker.placing(person))
            else:
                turn.say(self._speaker.sentence(step, turn.moment.now.date(), heard_any=heard_any))
        return outcome

    async def _run(self, hand: Open, talk: Talk, turn: _Turn, origin: Origin) -> Outcome:
        call = FunctionCall(f"{turn.prefix}:{turn.calls}", hand.form.function, dict(hand.values), origin, turn.session)
        turn.calls += 1
        result = await self._runner.run(call)
        turn.sentences.append(self._speaker.result(hand.form.function, result))
        error = result.error
        if error is None:
            turn.committed = turn.committed or hand.form.effect
            return workflow.ran(talk, hand, Ran.DONE)
        bad = frozenset(p.field for p in error.problems) if isinstance(error, BadArguments) else frozenset[str]()
        return workflow.ran(talk, hand, _fate(error), bad, anybody(self._settings.callees))

    def _finish(self, turn: _Turn, outcome: Outcome, kept: _Session) -> Reply:
        kept.talk = outcome.talk
        ends = turn.intent in ("thanks", "stop", "cancel") or outcome.code in ("calling", "cancelled", "stopped")
        waiting = outcome.talk.state is not State.IDLE
        return Reply(
            id=turn.prefix,
            text=" ".join(sentence for sentence in turn.sentences if sentence),
            code=outcome.code,
            phrases=self._speaker.expected(outcome.talk),
            follow_up=waiting or not ends,
            # Nobody talks an emergency call away.
            interruptible=not any(isinstance(effect, PlaceCall) and effect.emergency for effect in turn.effects),
            effects=tuple(turn.effects),
            committed=turn.committed,
        )

    def _meant(self, found: Understood | None, talk: Talk, moment: Moment) -> Input:
        return meant(found, talk, moment, self._forms, self._settings.callees)

    def _needs_a_day(self, intent: str) -> bool:
        form = self._forms.get(intent)
        return form is not None and any(slot.kind == "date" for slot in form.slots)

    def _moment(self) -> Moment:
        return Moment(self._clock(), self._settings.hours)

    def _session(self, name: str) -> _Session:
        kept = self._sessions.setdefault(name, _Session())
        if kept.last is not None and not kept.turn.locked():
            silence = (self._clock() - kept.last).total_seconds()
            if silence > self._settings.context_seconds:
                kept.talk = Talk()
                kept.history.clear()
        self._sessions.move_to_end(name)
        while len(self._sessions) > self._settings.most_sessions:
            self._sessions.popitem(last=False)
        return kept


def _fate(error: FunctionError) -> Ran:
    if isinstance(error, StillWorking):
        return Ran.WORKING
    if isinstance(error, BadArguments):
        return Ran.BAD_VALUES
    if isinstance(error, Refused):
        return Ran.FINAL if error.code in _FINAL else Ran.REFUSED
    return Ran.FAILED


def _last_heard(kept: _Session) -> str:
    return next((exchange.heard for exchange in reversed(kept.history) if exchange.heard), "")


def _asked(talk: Talk) -> str:
    if (slot := asked_slot(talk)) is not None:
        return slot.kind
    if talk.state is State.CHANGING and talk.open and any(slot.kind == "code" for slot in talk.open[-1].form.slots):
        return "code"  # "that is not its code": digits are another try
    return ""
