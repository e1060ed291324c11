"""The appliance itself, behind either shell: answers turns, keeps alerts and calls, remembers what was not yet heard.

It knows no process, no socket to the ears and no clock but the one it is given. The live shell and the offline shell
both drive it, so what is tested offline is what runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from audio.commands import Answer
from audio.events import (
    AlertCleared,
    AlertRaised,
    CallDialling,
    CallEnded,
    CallLive,
    Event,
    NoticeDecided,
    ReplyCut,
    ReplyDecided,
    ReplyFinished,
    StaleDropped,
)
from audio.frames import TurnId
from device.calls.escalation import Escalation
from device.calls.link import Destination
from device.calls.outcome import Outcome
from device.dialog.dialog import Dialog
from device.dialog.reply import ClearAlert, PlaceCall, Reply
from device.functions.contract import FunctionError, StoreFailed
from device.functions.store import Timer

log = logging.getLogger("wakeline.app")

SESSION = "voice"
_STOP_WORDS = ("stop", "cancel", "okay", "thanks")


class Memory(Protocol):
    """What the appliance keeps in the store."""

    def unheard(self) -> Sequence[tuple[str, str]]:
        """Reply id and text of committed results that nobody has heard, oldest first."""
        ...

    def mark_heard(self, reply: str) -> None: ...
    def due_timers(self, now: datetime) -> Sequence[Timer]:
        """Timers that are due and not yet cleared."""
        ...

    def clear_timer(self, timer: str) -> None: ...


class Appliance:
    """One per device; owned by the loop of its shell."""

    def __init__(
        self,
        dialog: Dialog,
        memory: Memory,
        escalation: Escalation,
        destinations: Mapping[str, Destination],
        clock: Callable[[], datetime],
    ) -> None:
        self._dialog = dialog
        self._memory = memory
        self._escalation = escalation
        self._destinations = destinations
        self._clock = clock
        self._ringing: dict[str, AlertRaised] = {}
        self._call: CallDialling | CallLive | None = None
        self._committed: dict[TurnId, Reply] = {}
        """Committed results on their way to the ear, by turn."""
        self._untold: dict[str, NoticeDecided] = {}
        """Notices on their way to the ear, by reply."""

    # -- turns ----------------------------------------------------------------------------------------------------
    async def answer(self, command: Answer) -> tuple[list[Event], PlaceCall | None]:
        """What the user is told, and a call that is to be placed (`place`). Never raises: a failure is a sentence."""
        try:
            reply = await self._dialog.answer(
                command.text,
                command.confidence,
                SESSION,
                f"turn-{command.turn}",
                ringing=tuple(self._ringing),
            )
        except FunctionError as error:
            log.error("turn %d: %s", command.turn, error.code)
            reply = Reply(f"turn-{command.turn}", error.sentence, error.code)
        events: list[Event] = []
        call = None
        for effect in reply.effects:
            match effect:
                case ClearAlert():
                    events += self._clear(effect.alert)
                case PlaceCall():
                    call = effect
        if reply.committed:
            self._committed[command.turn] = reply
        events.append(
            ReplyDecided(
                turn=command.turn,
                reply=reply.id,
                text=reply.text,
                phrases=reply.phrases,
                follow_up=reply.follow_up,
                interruptible=reply.interruptible,
            )
        )
        return events, call

    def observe(self, event: Event) -> list[Event]:
        """Every event of the loop, as it happens; returns what is to be said because of it."""
        match event:
            case ReplyFinished() | ReplyCut():
                self._committed.pop(event.turn, None)
                self._untold.pop(event.reply, None)
                self._dialog.heard(event.reply, event.heard)
                self._remember(event.reply)
            case StaleDropped(kind="ReplyDecided"):
                # The turn was over before its answer: what was committed is told all the same.
                reply = self._committed.pop(event.turn, None)
                if reply is not None:
                    return [NoticeDecided(reply=reply.id, text=reply.text)]
        return []

    # -- calls ----------------------------------------------------------------------------------------------------
    async def place(self, wanted: PlaceCall) -> NoticeDecided:
        """Place the call and stay with it to its end; its progress goes to the escalation's `notify`."""
        destination = self._destinations.get(wanted.destination)
        if destination is None:
            return self._tell("call", f"I don't know how to reach {wanted.destination}.")
        outcome = await self._escalation.place(destination, wanted.reason)
        return self._told(outcome)

    async def resume_calls(self) -> list[NoticeDecided]:
        """After a restart of the app: what became of calls that were under way."""
        try:
            return [self._told(outcome) for outcome in await self._escalation.resume()]
        except StoreFailed as failure:
            log.error("calls cannot be resumed: %s", failure.code)
            return []

    def _told(self, outcome: Outcome) -> NoticeDecided:
        log.info("call %s over %s: %s", outcome.call or "none", outcome.link, outcome.code)
        return self._tell(f"call-{outcome.call}", outcome.sentence)

    def _tell(self, reply: str, text: str) -> NoticeDecided:
        self._untold[reply] = NoticeDecided(reply=reply, text=text)
        return self._untold[reply]

    def call_changed(self, event: Event) -> None:
        """Keep the truth about the call, for new ears."""
        match event:
            case CallDialling() | CallLive():
                self._call = event
            case CallEnded():
                self._call = None

    # -- alerts ---------------------------------------------------------------------------------------------------
    def due(self) -> list[Event]:
        """What begins to ring now."""
        try:
            timers = self._memory.due_timers(self._clock())
        except StoreFailed as failure:
            log.error("timers cannot be read: %s", failure.code)
            return []
        fresh = [timer for timer in timers if timer.id not in self._ringing]
        for timer in fresh:
            self._ringing[timer.id] = AlertRaised(alert=timer.id, kind="timer", phrases=_STOP_WORDS)
        return [self._ringing[timer.id] for timer in fresh]

    def _clear(self, alert: str) -> list[Event]:
        self._ringing.pop(alert, None)
        try:
            self._memory.clear_timer(alert)
        except StoreFailed as failure:
            log.error("timer cannot be cleared: %s", failure.code)
        return [AlertCleared(alert=alert)]

    # -- memory ---------------------------------------------------------------------------------------------------
    def seed(self) -> list[Event]:
        """What new ears must know: what rings, which call there is, and what was committed and never heard."""
        seeds: list[Event] = list(self._ringing.values())
        if self._call is not None:
            seeds.append(self._call)
        self._committed.clear()
        seeds += self._untold.values()
        try:
            seeds += [NoticeDecided(reply=reply, text=text) for reply, text in self._memory.unheard()]
        except StoreFailed as failure:
            log.error("unheard results cannot be read: %s", failure.code)
        return seeds

    def _remember(self, reply: str) -> None:
        try:
            self._memory.mark_heard(reply)
        except StoreFailed as failure:
            log.error("heard results cannot be noted: %s", failure.code)
