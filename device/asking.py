"""`wakeline ask`: the conversation in text, from arguments, a pipe or a terminal. Owns how its turns come and go."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterable, Iterator
from typing import TextIO

from device.app import House, build
from device.appliance import LATE_SENTENCE
from device.config import Config
from device.dialog.reply import PlaceCall, Reply
from device.functions.contract import StillWorking
from device.secrets import Secrets
from device.talks import FOLDER, Talks
from device.view import PlainView, View, view_for, words_allowed

_PROMPT = "> "
_LONGEST_LINE = 4000


def ask(texts: list[str], session: str | None, config: Config) -> int:
    """Every text is a turn; without any they come line by line from the terminal or a pipe until its end."""
    chat = not texts and sys.stdin.isatty()
    turns: Iterable[str] = texts or (prompted() if chat else lines(sys.stdin))
    view: View = PlainView(sys.stdout, words=words_allowed(sys.stdout)) if chat else view_for(sys.stdout)
    with asyncio.Runner() as loop, view:
        house = loop.run(_built(config))
        talk = Conversation(house, view, config, session)
        try:
            for text in turns:
                if not chat:
                    view.heard(text)
                talk.turn(loop, text)
            loop.run(talk.late())
        finally:
            loop.run(house.close())
    return 0


def prompted() -> Iterator[str]:
    """What is typed in a terminal, until Ctrl-D."""
    import readline  # noqa: F401 - gives `input` its line editing; nothing of it is kept

    while True:
        try:
            text = input(_PROMPT)
        except EOFError:
            print()
            return
        if text.strip():
            yield text[:_LONGEST_LINE]


def lines(stream: TextIO) -> Iterator[str]:
    """The lines of a pipe or file that have words."""
    while line := stream.readline(_LONGEST_LINE):
        if line.strip():
            yield line.strip()


class Conversation:
    """One conversation; with a name it goes on from command to command."""

    def __init__(self, house: House, view: View, config: Config, name: str | None) -> None:
        self._house = house
        self._view = view
        self._name = name
        self._talks = Talks(config.paths.state_dir / FOLDER, config.dialog.context_s)
        run = uuid.uuid4().hex[:8]  # a turn of another command must not look like a turn of this one said again
        self._session = f"text-{name}" if name else run
        self._prefix = f"ask-{run}"
        self._turns = 0
        self._awaited = 0
        """Functions that were answered "still working"."""

    def turn(self, loop: asyncio.Runner, text: str) -> None:
        """Answer one text, and do what follows from it."""
        if self._turns == 0:
            self._tell_waiting()
        if self._name is None:
            reply = loop.run(self._answer(text))
        else:
            with self._talks.locked():
                self._house.dialog.forget(self._session)
                if (kept := self._talks.load(self._name)) is not None:
                    self._house.dialog.restore(self._session, kept)
                reply = loop.run(self._answer(text))
                if (data := self._house.dialog.kept(self._session)) is not None:
                    self._talks.save(self._name, data)
        for effect in reply.effects:
            if isinstance(effect, PlaceCall):
                self._view.said(loop.run(self._house.appliance.place(effect)).text)

    async def late(self) -> None:
        """What was still working is waited for, and told."""
        results = self._house.runner.late()
        while self._awaited:
            late = await anext(results)
            self._view.said(late.result.sentence)
            with self._house.store.transaction() as store:
                store.mark_delivered(late.call.id)
            self._awaited -= 1

    def _tell_waiting(self) -> None:
        """What ended for this conversation after its last command was interrupted."""
        with self._house.store.transaction() as store:
            waiting = store.undelivered(self._session)
            for one in waiting:
                store.mark_delivered(one.id)
        for one in waiting:
            self._view.said(one.sentence or LATE_SENTENCE)

    async def _answer(self, text: str) -> Reply:
        self._turns += 1
        reply = await self._house.dialog.answer(
            text, None, self._session, f"{self._prefix}-{self._turns}", origin="text"
        )
        self._awaited += reply.code == StillWorking.code
        if reply.text:
            self._view.said(reply.text)
        self._house.dialog.heard(reply.id, reply.text)
        return reply


async def _built(config: Config) -> House:
    return build(config, Secrets())
