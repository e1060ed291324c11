"""The loop both synthesizers share: clause by clause, normalised for speech, until the text or the job ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from models.clauses import clauses
from models.engines import Clause, Pcm
from models.ort import StoppableSession, Stopped
from models.spoken import spoken


def voiced_clauses(text: str, session: StoppableSession, voice: Callable[[str], Pcm]) -> Iterator[Clause]:
    """Each clause of the text with its audio; ends early and quietly when the session is stopped."""
    for clause in clauses(text):
        try:
            # Cut again: "$1,999.99" or a long number is far longer once it is spelled out.
            pieces = [voice(piece) for piece in clauses(spoken(clause))]
        except Stopped:
            return
        pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
        if session.stopped:
            return
        if pcm.size:
            yield Clause(clause, pcm)
