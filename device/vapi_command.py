"""The account at Vapi: `wakeline vapi assistant`."""

from __future__ import annotations

import argparse

from device.config import Config


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline vapi`."""
    return subparsers.add_parser("vapi", help="the assistant at Vapi: print it, push it", description=__doc__)


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    raise NotImplementedError
