"""The audio process: sound card, pump, core and engines behind one inherited socket. Started by the app, never by hand.

It ignores Ctrl-C, ends at the socket's end of file or with its parent, and exits with 0 when it was asked to stop.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator

from audio.assembly import build_conversation, build_jobs
from audio.commands import Abandon, Answer
from audio.devices import SoundCardError
from audio.events import EarsStarted, EngineFailed, Event, MuteRequested
from audio.portaudio import SoundCard, rescan
from audio.pump import CardStuck, Pump
from audio.wire import VERSION, EarsConfig, Heartbeat, Message, Outbox, StopEars, WireError, receive_all, send_all
from audio.workers import WorkerThread
from models.engines import EngineError
from models.process import die_with

log = logging.getLogger("wakeline.audio.ears")

EXIT_WIRE = 3
EXIT_ENGINE = 4
EXIT_FAULT = 5
EXIT_CARD = 6


def main(argv: list[str] | None = None) -> int:
    """Process entry; `--fd` is the inherited socket, `--parent` the process that started us."""
    parser = argparse.ArgumentParser(prog="audio.ears", description="Started by `wakeline run`; not for use by hand.")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(arguments.parent)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    threading.excepthook = end_with_thread
    sock = socket.socket(fileno=arguments.fd)
    try:
        return _serve(sock)
    except WireError as error:
        log.error("%s", error)
        return EXIT_WIRE


def end_with_thread(fault: threading.ExceptHookArgs) -> None:
    """A thread that ended by a mistake: ears without it would be deaf for good, new ones are not.

    Only the type is told: the text may hold what people said.
    """
    log.error("%s: %s", fault.thread.name if fault.thread else "a thread", fault.exc_type.__name__)
    os._exit(EXIT_FAULT)


def _serve(sock: socket.socket) -> int:
    messages = receive_all(sock)
    config = next(messages, None)
    if config is None:
        return 0
    if not isinstance(config, EarsConfig) or config.version != VERSION:
        raise WireError(f"expected a configuration of wire version {VERSION}")
    outbox = Outbox()
    sender = threading.Thread(target=send_all, args=(sock, outbox), name="wakeline-wire-out", daemon=True)
    sender.start()
    outbox.put(EarsStarted(epoch=config.epoch, pid=os.getpid()))
    try:
        conversation = build_conversation(config, echo=True)
        jobs = build_jobs(config)
    except EngineError as error:
        log.error("%s: %s", error.code, error)
        outbox.put(EngineFailed(engine="start", code=error.code))
        outbox.close()
        sender.join(1.0)
        return EXIT_ENGINE
    posted: queue.SimpleQueue[Event] = queue.SimpleQueue()
    if config.muted:
        posted.put(MuteRequested(muted=True))
    workers = {name: WorkerThread(job, posted.put) for name, job in jobs.items()}
    for worker in workers.values():
        worker.start()
    pump = Pump(conversation, lambda: _open_card(config), workers, posted, outbox)
    threading.Thread(target=_read, args=(messages, posted, pump), name="wakeline-wire-in", daemon=True).start()
    try:
        pump.run()
    except CardStuck as error:
        log.error("sound card: %s", error)
        return EXIT_CARD
    for worker in workers.values():
        worker.stop()
    outbox.close()
    sender.join(1.0)
    return 0


def _open_card(config: EarsConfig) -> SoundCard:
    """The loudspeaker as configured (the pump opens the microphone); devices that have come or gone since are seen."""
    rescan()
    card = SoundCard(config.input, config.output, channel=config.channel, channels=config.channels)
    try:
        card.open_output()
    except SoundCardError:
        card.close()  # It is tried again every two seconds: nothing of it may stay.
        raise
    return card


def _read(messages: Iterator[Message], posted: queue.SimpleQueue[Event], pump: Pump) -> None:
    """Thread body: post what the app says; its end of file is a request to stop."""
    try:
        for message in messages:
            if isinstance(message, StopEars):
                break
            if not isinstance(message, Answer | Abandon | EarsConfig | Heartbeat):
                posted.put(message)
    except WireError as error:
        log.error("%s", error)
    pump.stop()


if __name__ == "__main__":
    # Everything is closed by now. A library's own threads (the echo canceller's runtime) do not survive the end of the
    # interpreter: they would turn a clean stop into an abort.
    os._exit(main())
