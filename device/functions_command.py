"""The function contract: `wakeline functions list | show | call NAME k=v | export`."""

from __future__ import annotations

import argparse

from device.config import Config


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline functions`."""
    return subparsers.add_parser("functions", help="what can be called: list, show, call, export", description=__doc__)


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    raise NotImplementedError
