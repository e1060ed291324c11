"""Trying webhooks: `wakeline webhook test URL | listen`."""

from __future__ import annotations

import argparse

from device.config import Config


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline webhook`."""
    return subparsers.add_parser("webhook", help="send signed samples, or print what arrives", description=__doc__)


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    raise NotImplementedError
