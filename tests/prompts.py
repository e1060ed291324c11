"""Owns the human prompts of Debian's asterisk-core-sounds-en-g722 with their transcripts, where the packages are."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio.frames import RATE, Pcm

SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")


class Prompt(NamedTuple):
    name: str
    text: str
    pcm: Pcm


def missing() -> str | None:
    """What to install, or None."""
    if SOUNDS.is_dir() and TEXTS.is_file():
        return None
    return "no human prompts: apt install asterisk-core-sounds-en-g722 asterisk-core-sounds-en"


def decoded(path: Path) -> Pcm:
    """One file of raw G.722."""
    import G722

    return np.asarray(G722.G722(RATE, 64000).decode(path.read_bytes()), np.int16)


def prompts(shortest_s: float = 1.0, longest_s: float = 8.0, fewest_words: int = 3) -> Iterator[Prompt]:
    """Every prompt of that length that is one plain sentence; decoded from raw G.722."""
    with gzip.open(TEXTS, "rt", errors="replace") as lines:
        for line in lines:
            name, _, text = line.strip().partition(":")
            path = SOUNDS / f"{name}.g722"
            if line.startswith(";") or not path.is_file() or not re.fullmatch(r"[A-Za-z',.? -]+", text.strip()):
                continue
            if len(text.split()) < fewest_words or "..." in text or re.search(r"[.?] +[A-Z]", text):
                continue
            pcm = decoded(path)
            if shortest_s * RATE <= len(pcm) <= longest_s * RATE:
                yield Prompt(name, text.strip(), pcm)
