"""A function that takes as long as a test wants: it asks at a loopback socket, and goes on when it is let go."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WAIT_S = 30.0

_FUNCTION = '''
import socket
from datetime import timedelta

from device.functions import Context, Outcome, function


@function(effect=True, budget_s={budget_s})
def slow_booking(ctx: Context) -> Outcome:
    """Book, after a long look."""
    with socket.create_connection(("127.0.0.1", {port})) as gate:
        gate.recv(1)
    with ctx.store.transaction() as store:
        starts = ctx.clock() + timedelta(days=1)
        store.add_appointment(starts, 30, "UTC", name="Ann", people=2, created=ctx.clock(), call_id=ctx.call_id)
    return Outcome({{"table": 7}}, "Your table is ready.")
'''


@dataclass
class Gate:
    """Each run of the function waits here."""

    port: int
    waiting: queue.Queue[socket.socket] = field(default_factory=queue.Queue)
    runs: int = 0

    def write_function(self, folder: Path, budget_s: float = 0.1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "slow.py").write_text(_FUNCTION.format(port=self.port, budget_s=budget_s))

    def begun(self) -> socket.socket:
        """A run that has begun and waits; close it to let it go on."""
        return self.waiting.get(timeout=WAIT_S)


@contextlib.contextmanager
def gate() -> Iterator[Gate]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = Gate(server.getsockname()[1])
        thread = threading.Thread(target=_accept, args=(server, made))
        thread.start()
        try:
            yield made
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes the thread
            thread.join(WAIT_S)
            while not made.waiting.empty():
                made.waiting.get().close()


def _accept(server: socket.socket, gate: Gate) -> None:
    with contextlib.suppress(OSError):
        while True:
            gate.waiting.put(server.accept()[0])
            gate.runs += 1
