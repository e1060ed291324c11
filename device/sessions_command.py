"""Calls of the providers and the functions they ran: `wakeline sessions list | show | export`."""

from __future__ import annotations

import argparse

from device.config import Config


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline sessions`."""
    return subparsers.add_parser("sessions", help="phone calls, their events and function results", description=__doc__)


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    raise NotImplementedError
