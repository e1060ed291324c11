"""The loop both synthesizers share: clause by clause, normalised for speech, until the text or the job ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from models.clauses import clauses
from models.engines import Clause
from models.ort import StoppableSession, Stopped
from models.spoken import spoken
from models.word_times import Voiced, joined, word_times


def voiced_clauses(text: str, session: StoppableSession, voice: Callable[[str], Voiced]) -> Iterator[Clause]:
    """Each clause of the text with its audio; ends early and quietly when the session is stopped."""
    for clause in clauses(text):
        said = spoken(clause)
        try:
            # Cut again: "$1,999.99" or a long number is far longer once it is spelled out.
            whole = joined([voice(piece) for piece in clauses(said)])
        except Stopped:
            return
        if session.stopped:
            return
        if whole.pcm.size:
            yield Clause(clause, whole.pcm, word_times(clause, said, whole.groups))
