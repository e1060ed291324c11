"""Pure policy: may this cut the reply? THE place where it is decided.

Today the wake word and the button cut; speech alone does not yet (it needs the evidence of a provisional utterance).
"""

from __future__ import annotations

from typing import Literal

from audio.events import Pressed, WakeHeard

CutBy = Literal["wake", "press"]


def cuts_reply(evidence: WakeHeard | Pressed, *, interruptible: bool) -> CutBy | None:
    """Who cuts the reply that is being spoken, or None when it goes on.

    A button is never a mistake, so it also cuts what the app called uninterruptible. A wake word that still has to be
    confirmed begins something, but ends nothing.
    """
    match evidence:
        case Pressed():
            return "press"
        case WakeHeard():
            return "wake" if interruptible and evidence.sure else None
