"""The models' files: `wakeline models list | download NAME | verify [NAME ...] | path NAME`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from device.config import Config
from models.catalog import Model, catalog, find, resolve, verify
from models.download import download
from models.engines import ModelUnavailable

_ABOUT = """The models' files. Nearly all come inside packages that pip has installed; the rest is downloaded once, into
$WAKELINE_MODELS or `models` in the state folder, and never without this command. Vosk in English:
  wakeline models download vosk-small-en
and then in the configuration:
  [stt]
  engine = "vosk"
"""
_DOWNLOAD = """Get a model from the network. It is compared with the catalog's SHA-256 and is there whole or not at
all; if the connection breaks, the same command goes on where it ended."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline models`."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "models", help="the models' files: what is here, get one", description=_ABOUT, formatter_class=raw
    )
    sub = parser.add_subparsers(dest="models_command", required=True, metavar="list|download|verify|path")
    sub.add_parser("list", help="every model: size, whether it is here, licence")
    get = sub.add_parser("download", help="get a model from the network", description=_DOWNLOAD)
    get.add_argument("name", metavar="NAME", help="as `wakeline models list` writes it")
    check = sub.add_parser("verify", help="read every file and compare its checksum; exit status 1 if one is damaged")
    check.add_argument("names", nargs="*", metavar="NAME", help="only these (all that should be here)")
    where = sub.add_parser("path", help="print where a model is, for scripts")
    where.add_argument("name", metavar="NAME")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    folder = config.models_folder
    if args.models_command == "download":
        return _download(find(args.name), folder)
    if args.models_command == "verify":
        return _verify(args.names, folder)
    if args.models_command == "path":
        print(resolve(args.name, folder))
        return 0
    return _list(folder)


def _list(folder: Path) -> int:
    width = max(map(len, catalog()))
    for model in catalog().values():
        print(f"{model.name:{width}}  {_megabytes(model.bytes):>8}  {_state(model, folder):7}  {model.licence}")
    missing = [model for model in catalog().values() if _state(model, folder) != "here"]
    for model in missing:
        print(f"to get {model.name}: {model.remedy}", file=sys.stderr)
    return 0


def _state(model: Model, folder: Path) -> str:
    try:
        resolve(model.name, folder)
    except ModelUnavailable:
        return "missing"
    return "here"


def _download(model: Model, folder: Path) -> int:
    if not model.url:
        print(f"{model.name} comes with a package, not by download: {resolve(model.name)} is here", file=sys.stderr)
        return 0
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    # On standard error, and only where somebody looks: standard output is the path alone.
    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task(model.name, total=model.bytes)
            path = download(model, folder, lambda have: bar.update(task, completed=have))
    else:
        path = download(model, folder)
    print(f"{model.name} ({model.licence}) is here:", file=sys.stderr)
    print(path)
    return 0


def _verify(names: Sequence[str], folder: Path) -> int:
    damaged = 0
    for name in names or catalog():
        model = find(name)
        if not names and model.url and not (folder / model.file).exists():
            print(f"--       {name}: not downloaded")
            continue
        try:
            print(f"ok       {name}: {verify(name, folder)}")
        except ModelUnavailable as error:
            damaged += 1
            print(f"damaged  {name}: {error}")
    return 1 if damaged else 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
