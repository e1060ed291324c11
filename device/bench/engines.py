"""Owns the arguments and tables of `wakeline bench tts` and `wakeline bench stt`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from device.bench import stt, tts
from device.config import Config

_BUSY = 0.5
"""A load average above it is more than an idle board has."""
_TTS = """Times both voices on one core of this board, in turn. The outcome is kept, and `wakeline config` tells it:
Piper where a reply of ten words begins within 300 ms, else hibari."""
_STT = """Wrong words, computing time and delays of a recognizer, on sentences that two voices say, or on recordings of
people. For Vosk in English get its model first: wakeline models download vosk-small-en"""


def add_parsers(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments; the function that does the work is in `measure`."""
    voices = sub.add_parser("tts", help="how soon both voices begin to speak here", description=_TTS)
    voices.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    voices.add_argument("--rounds", type=_above_0, default=3, metavar="N", help="times ten replies (3)")
    voices.add_argument(
        "--slowdown", type=_factor, default=1.0, metavar="K", help="as on a board K times slower; nothing is kept then"
    )
    voices.set_defaults(measure=_voices)
    ears = sub.add_parser("stt", help="how well and how soon a recognizer hears here", description=_STT)
    ears.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    ears.add_argument("--engine", choices=tuple(stt.ENGINES), help="the configured one unless told")
    ears.add_argument("--data", type=Path, metavar="DIR", help="recordings with a manifest.toml (file, text)")
    ears.add_argument("--language", default="en", metavar="CODE", help="of the recordings in the manifest (en)")
    ears.set_defaults(measure=_recognizers)


def _voices(args: argparse.Namespace, config: Config) -> int:
    figures = tts.measure(args.rounds, args.slowdown)
    if args.slowdown == 1.0:
        tts.keep(figures, config.paths.state_dir, datetime.now(config.zone).date())
    if args.json:
        print(json.dumps(figures))
        return 0
    _table({name: figures[name] for name in tts.VOICES})
    print(f"take {figures['take']}: piper where a 10-word reply begins within {tts.SOON_MS:.0f} ms, else hibari")
    if figures["load_before"] > _BUSY:
        print(
            f"other work was running here (load {figures['load_before']}): repeat it when there is none",
            file=sys.stderr,
        )
    return 0


def _recognizers(args: argparse.Namespace, config: Config) -> int:
    engine = args.engine or config.stt.engine
    chosen = config.model_copy(update={"stt": config.stt.model_copy(update={"engine": "vosk"})})
    model = chosen.stt_model
    # A missing model is found before sentences are made for it.
    spoken = stt.recordings(args.data, args.language) if args.data else None
    if engine == "vosk":
        stt.measure(engine, model, [])
    spoken = spoken or stt.sentences()
    figures = {engine: stt.measure(engine, model, spoken)}
    if engine != "moonshine" and args.language == "en":
        figures["moonshine"] = stt.measure("moonshine", "", spoken)
    if args.json:
        print(json.dumps({"engine": engine, "sentences": len(spoken), **figures}))
    else:
        _table(figures)
    return 0


def _table(columns: dict[str, dict[str, Any]]) -> None:
    """A row a figure, a column an engine."""
    print(f"{'':20}" + "".join(f"{name:>20}" for name in columns))
    rows = dict.fromkeys(key for figures in columns.values() for key in figures)
    for row in rows:
        print(f"{row:20}" + "".join(f"{_cell(figures.get(row)):>20}" for figures in columns.values()))


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {figure:g}" for name, figure in value.items())
    return "-" if value is None else str(value)


def _above_0(argument: str) -> int:
    count = int(argument)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{argument} is not above 0")
    return count


def _factor(argument: str) -> float:
    factor = float(argument)
    if not (math.isfinite(factor) and factor > 0):
        raise argparse.ArgumentTypeError(f"{argument} is no number above 0")
    return factor
