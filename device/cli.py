"""The command line: `wakeline --help` teaches it. Owns the arguments; each command's work is done elsewhere."""

from __future__ import annotations

import argparse
import errno
import logging
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from audio.portaudio import SoundCardError, list_devices
from audio.wav import WavError
from device import (
    bench_command,
    commands,
    functions_command,
    models_command,
    sessions_command,
    talks,
    vapi_command,
    webhook_command,
)
from device.bench.options import BenchFault
from device.bench.servers import ServerFailed
from device.bench.stt import DataInvalid
from device.calls.policy import CallRefusal
from device.config import Config, ConfigError, load_config
from device.control import ControlError
from device.dialog.language import LanguageInvalid
from device.functions import book
from device.functions.contract import FunctionError
from device.functions.registry import FunctionFileBroken
from models.engines import EngineError

Command = Callable[[argparse.Namespace, Config], int]

_FAULTS = (
    BenchFault,
    CallRefusal,
    ConfigError,
    ControlError,
    DataInvalid,
    EngineError,
    FunctionError,
    FunctionFileBroken,
    LanguageInvalid,
    ServerFailed,
    SoundCardError,
    WavError,
)

EXIT_FAULT = 2
"""The user can do something about it: the line printed says what."""


def main(argv: list[str] | None = None) -> int:
    """Entry of the `wakeline` command."""
    arguments = _parser().parse_args(argv)
    # A service's log tells what goes on; between the lines of a command it would be in the way.
    usual = logging.INFO if arguments.command is commands.run else logging.WARNING
    level = logging.DEBUG if arguments.verbose else usual
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("wakeline").setLevel(level)
    try:
        config = load_config(arguments.config)
        command: Command = arguments.command
        return command(arguments, config)
    except _FAULTS as error:
        print(f"wakeline: {error.code}: {error}", file=sys.stderr)
        return EXIT_FAULT
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is wrong with us.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"wakeline: file-failed: {where}{error.strerror}", file=sys.stderr)
        return EXIT_FAULT
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wakeline",
        description="A voice appliance: it answers to its name, understands offline, acts, speaks, and calls somebody "
        "when that is not enough. Start with `wakeline demo`, then `wakeline run`.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: the usual places)")
    parser.add_argument("--verbose", action="store_true", help="say more about what goes on")
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    _running(sub)
    _offline(sub)
    _control(sub)
    _looking(sub)
    book.add_parser(sub).set_defaults(command=book.run)
    for group in (models_command, functions_command, vapi_command, webhook_command, sessions_command, bench_command):
        group.add_parser(sub).set_defaults(command=group.run)
    return parser


def _text(argument: str) -> str:
    """Words from the shell; bytes that are no UTF-8 become question marks instead of failing somewhere inside."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _session(argument: str) -> str:
    if not talks.NAME.fullmatch(argument):
        raise argparse.ArgumentTypeError(f"{argument!a} is no name: letters, digits, - and _, at most 40")
    return argument


def _factor(argument: str) -> float:
    factor = float(argument)
    if not (math.isfinite(factor) and factor > 0):
        raise argparse.ArgumentTypeError(f"{argument} is not above 0")
    return factor


def _running(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = sub.add_parser("run", help="be the appliance, until Ctrl-C", description=commands.run.__doc__)
    run.set_defaults(command=commands.run)


def _offline(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = sub.add_parser("demo", help="a scripted visit, without a sound card", description=commands.demo.__doc__)
    demo.add_argument("--call", action="store_true", help="the visit in which somebody asks for the front desk")
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder for the sound and the picture (out)")
    demo.set_defaults(command=commands.demo)
    replay = sub.add_parser("replay", help="a recording through the whole loop", description=commands.replay.__doc__)
    replay.add_argument("recording", type=Path, metavar="IN.wav")
    replay.add_argument("--out", type=Path, metavar="OUT.wav", help="what the appliance played")
    replay.add_argument("--timeline", type=Path, metavar="OUT.svg", help="a picture of both ends with the events")
    replay.add_argument("--realtime", action="store_true", help="as fast as life")
    replay.add_argument("--press", action="store_true", help="pushed to talk: the whole recording is the request")
    replay.add_argument("--slowdown", type=_factor, default=1.0, metavar="K", help="as on a board K times slower (1)")
    replay.set_defaults(command=commands.replay)
    ask = sub.add_parser("ask", help="the same in text", description=commands.ask.__doc__)
    ask.add_argument("text", nargs="*", type=_text, help="one turn each; none of them needs the wake word")
    ask.add_argument("--session", type=_session, metavar="NAME", help="go on with the conversation of that name")
    ask.set_defaults(command=commands.ask)
    say = sub.add_parser("say", help="speak a text", description=commands.say.__doc__)
    say.add_argument("text", type=_text)
    say.add_argument("--out", type=Path, metavar="OUT.wav", help="into a file, not through the running appliance")
    say.set_defaults(command=commands.say)


def _control(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, what in (
        ("press", "begin to talk, as with a button"),
        ("release", "... and that was it"),
        ("mute", "close the microphone; everything else lives on"),
        ("unmute", "open it again"),
        ("status", "how the running appliance is"),
    ):
        sub.add_parser(name, help=what).set_defaults(command=commands.control, do=name)
    call = sub.add_parser("call", help="place a call to somebody", description=commands.call.__doc__)
    call.add_argument("destination", help="a name of the section [destinations]")
    call.add_argument("--via", choices=("practice", "vapi", "twilio"), help="another link than the configured one")
    call.set_defaults(command=commands.call)


def _looking(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sub.add_parser("devices", help="the sound cards there are").set_defaults(command=_devices)
    config = sub.add_parser("config", help="the settings in force, with what they mean")
    config.add_argument(
        "--commercial",
        action="store_true",
        help="the licences of all parts these settings use; exit status 1 if one of them does not suit a product",
    )
    config.set_defaults(command=commands.show_config)


def _devices(_: argparse.Namespace, config: Config) -> int:
    devices = list_devices()
    for device in devices:
        marks = [mark for mark, on in (("input", device.default_input), ("output", device.default_output)) if on]
        default = f"  default {' and '.join(marks)}" if marks else ""
        print(f"{device.index:3}  {device.name}  in {device.inputs}  out {device.outputs}  {device.rate} Hz{default}")
    if not devices:
        print("no sound card: plug one in, or look whether a sound server runs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
