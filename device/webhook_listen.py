"""`wakeline webhook listen`: prints what arrives, with the verdict on its signature. Runs and stores nothing."""

from __future__ import annotations

import argparse

from device.config import Config


def listen(args: argparse.Namespace, config: Config) -> int:
    """Until Ctrl-C; returns the exit status."""
    raise NotImplementedError
