"""The wire to the ears: starts one ears process per epoch, and owns its socket, its silence and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from audio.events import EarsStarted
from audio.wire import EarsConfig, Message, StopEars, Unframer, WireError, encode

log = logging.getLogger("wakeline.ears")

_ROOT = str(Path(__file__).parent.parent)
SILENCE_S = 2.0
"""Ears that say nothing for so long (they beat every half second) are stuck."""
START_S = 60.0
"""So long may loading the engines take on a slow board."""
_STOP_S = 3.0
_FLUSH_S = 0.5
_CHUNK = 1 << 16


class EarsProcess:
    """One epoch of the ears."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        epoch: int,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._complaints = asyncio.create_task(self._drain(), name="wakeline-ears-stderr")
        self.epoch = epoch

    @classmethod
    async def start(cls, config: EarsConfig) -> EarsProcess:
        """Spawn, connect, configure. The child has its own session, so Ctrl-C and `kill -9` of the app reach it only by
        the end of file on its socket and by its parent-death signal."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [
                sys.executable,
                "-P",
                "-m",
                "audio.ears",
                "--fd",
                str(theirs.fileno()),
                "--parent",
                str(os.getpid()),
            ]
            process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))},
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        ears = cls(process, reader, writer, config.epoch)
        ears.send(config)
        return ears

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> None:
        """Never blocks; what is sent to ears that have ended is lost with them (the next ones are seeded)."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def messages(self) -> AsyncIterator[Message]:
        """What the ears say, until they end, are silent for too long, or talk nonsense (then they are killed)."""
        unframer = Unframer()
        patience = START_S
        while True:
            try:
                data = await self._read(patience)
                if not data:
                    return
                for message in unframer.push(data):
                    patience = START_S if isinstance(message, EarsStarted) else SILENCE_S
                    yield message
            except TimeoutError:
                log.error("the ears have been silent for %.0f s", patience)
                return
            except (WireError, ConnectionError) as error:
                log.error("the ears: %s", type(error).__name__)
                return

    async def _read(self, patience: float) -> bytes:
        """Waits in two halves: a loop that was held up itself reads what has arrived, and does not blame the ears."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._reader.read(_CHUNK), patience / 2)
        return await asyncio.wait_for(self._reader.read(_CHUNK), patience / 2)

    async def stop(self) -> int:
        """Ask, wait, kill; returns the exit status."""
        self.send(StopEars())
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        return await self._ended(_STOP_S)

    async def reap(self) -> int:
        """The ears are finished with: make sure that nothing of them is left."""
        return await self._ended(0.2)

    async def _ended(self, patience: float) -> int:
        self._writer.close()
        try:
            await asyncio.wait_for(self._process.wait(), patience)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        status = await self._process.wait()
        # Whoever has inherited the ears' stderr (a sound server that they started) may keep it open for ever.
        await asyncio.wait({self._complaints}, timeout=_FLUSH_S)
        return status

    async def _drain(self) -> None:
        """The filter on the ears' fd 2: chatty C libraries stay out of ordinary logs, any text of people too."""
        stream = self._process.stderr
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # Longer than any line of ours.
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            level, _, rest = text.partition(" wakeline.")
            if level in ("WARNING", "ERROR") and rest:
                log.warning("%s", "wakeline." + rest)
            else:
                log.debug("%s", text)
