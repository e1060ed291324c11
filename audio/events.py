"""The facts of the loop: one closed union of frozen values, each stamped with the sample at which it became true.

They are recorded, travel on the wire between ears and app, and enter the core through `Conversation.receive`. An event
that answers slow work carries the turn it was done for; one for a turn that is over is counted and dropped. Field `at`
of an event that comes from outside the core (an engine, the app, a button) is set by the core when it receives it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from audio.frames import Samples, TurnId

TurnOrigin = Literal["wake", "press", "follow_up", "alert", "notice"]
UtteranceEnd = Literal["silence", "release", "cap", "no_speech", "cut"]
TurnOutcome = Literal["answered", "nothing_said", "not_heard", "cancelled", "superseded", "failed", "rejected"]


class Fact(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Empty base of every event; do not subclass an event itself."""

    at: Samples = Samples(0)


# -- the microphone -----------------------------------------------------------------------------------------------
class MicrophoneOpened(Fact, frozen=True, tag=True):
    device: str = ""


class MicrophoneLost(Fact, frozen=True, tag=True):
    code: str
    """Stable: "device-missing", "device-failed", "no-input", "no-channel"."""


class MuteRequested(Fact, frozen=True, tag=True):
    muted: bool


class MicrophoneMuted(Fact, frozen=True, tag=True):
    pass


class MicrophoneUnmuted(Fact, frozen=True, tag=True):
    pass


class SamplesLost(Fact, frozen=True, tag=True):
    """The card dropped audio; that much silence was put in its place, so the clock did not slip."""

    count: int


class LevelMeasured(Fact, frozen=True, tag=True):
    """For meters; coalesced on the wire."""

    near_db: float
    far_db: float
    floor_db: float


# -- hearing ------------------------------------------------------------------------------------------------------
class WakeHeard(Fact, frozen=True, tag=True):
    word: str
    score: float
    word_end: Samples
    """The word's estimated end: the request may begin here, in the same breath."""
    sure: bool = True
    """Enough to interrupt something; less is enough to begin listening, while a second detector looks at it."""


class WakeWordsSet(Fact, frozen=True, tag=True):
    """The app says which words are listened for at this time of the day."""

    words: tuple[str, ...]


class VolumeSet(Fact, frozen=True, tag=True):
    """The app says how loud to be, beside the configuration's own volume."""

    gain_db: float


class WakeJudged(Fact, frozen=True, tag=True):
    """A second detector has looked at the wake word that opened the turn."""

    turn: TurnId
    word: str
    score: float
    confirmed: bool


class Pressed(Fact, frozen=True, tag=True):
    source: str = "control"


class Released(Fact, frozen=True, tag=True):
    source: str = "control"


class SpeechStarted(Fact, frozen=True, tag=True):
    onset: Samples
    """Where the voice began; earlier than `at` by the gate's attack."""


class SpeechEnded(Fact, frozen=True, tag=True):
    last: Samples
    """Where the voice was last heard; earlier than `at` by the gate's hangover."""


class TurnStarted(Fact, frozen=True, tag=True):
    turn: TurnId
    by: TurnOrigin
    since: Samples
    """The recognizer hears from here on."""


class PartialText(Fact, frozen=True, tag=True):
    turn: TurnId
    text: str
    stable: str = ""
    confidence: float | None = None


class UtteranceEnded(Fact, frozen=True, tag=True):
    turn: TurnId
    reason: UtteranceEnd
    speech_end: Samples
    """Where the voice was last heard: the response gap is counted from here."""


class FinalText(Fact, frozen=True, tag=True):
    turn: TurnId
    text: str
    """Empty when the recognizer heard nothing or rejected what it decoded."""
    confidence: float | None = None


class EngineFailed(Fact, frozen=True, tag=True):
    """An engine did not do its work for this turn (0: for none); the loop goes on without it."""

    engine: str
    code: str
    turn: TurnId = TurnId(0)


# -- answering ----------------------------------------------------------------------------------------------------
class ReplyDecided(Fact, frozen=True, tag=True):
    """The app's answer to a turn. An empty text ends the turn in silence."""

    turn: TurnId
    reply: str
    """Id by which the app learns what was heard of it."""
    text: str
    phrases: tuple[str, ...] = ()
    """What the dialog expects next, for the recognizer of the follow-up."""
    follow_up: bool = False
    """Keep listening without the wake word for a while afterwards."""
    interruptible: bool = True


class NoticeDecided(Fact, frozen=True, tag=True):
    """The app wants to say something of its own accord; spoken as soon as no turn is under way."""

    reply: str
    text: str
    phrases: tuple[str, ...] = ()
    follow_up: bool = False
    interruptible: bool = True


class ClauseSynthesized(Fact, frozen=True, tag=True):
    turn: TurnId
    index: int
    text: str
    pcm: bytes
    """int16 at 16 kHz."""
    ends: tuple[int, ...] = ()
    """Where each word of the text ends, in samples of `pcm`; empty when the voice does not know."""


class SynthesisFinished(Fact, frozen=True, tag=True):
    turn: TurnId
    clauses: int


class ReplyStarted(Fact, frozen=True, tag=True):
    """The reply's first sample is in the far end at `at`."""

    turn: TurnId
    reply: str


class ReplyFinished(Fact, frozen=True, tag=True):
    turn: TurnId
    reply: str
    heard: str


class ReplyCut(Fact, frozen=True, tag=True):
    turn: TurnId
    reply: str
    by: Literal["wake", "press"]
    heard: str
    """The words that were really played before the cut, clause by clause."""


class TurnEnded(Fact, frozen=True, tag=True):
    turn: TurnId
    outcome: TurnOutcome


class StaleDropped(Fact, frozen=True, tag=True):
    """Slow work answered for a turn that is over."""

    kind: str
    turn: TurnId


# -- alerts and calls ---------------------------------------------------------------------------------------------
class AlertRaised(Fact, frozen=True, tag=True):
    """Something rings until it is cleared: a timer, an incoming call. Heard without the wake word."""

    alert: str
    kind: Literal["timer", "call"]
    phrases: tuple[str, ...] = ()


class AlertCleared(Fact, frozen=True, tag=True):
    alert: str


class CallDialling(Fact, frozen=True, tag=True):
    call: str
    link: str
    destination: str


class CallRinging(Fact, frozen=True, tag=True):
    call: str


class CallLive(Fact, frozen=True, tag=True):
    call: str


class CallEnded(Fact, frozen=True, tag=True):
    call: str
    cause: str
    """A `device.calls.link.Cause` value."""


# -- the process --------------------------------------------------------------------------------------------------
class EarsStarted(Fact, frozen=True, tag=True):
    """New ears, a new epoch: samples count from 0 again."""

    epoch: int
    pid: int


class EarsReady(Fact, frozen=True, tag=True):
    """Engines are loaded; `hearing` is False while there is no microphone."""

    hearing: bool


Event = (
    MicrophoneOpened
    | MicrophoneLost
    | MuteRequested
    | MicrophoneMuted
    | MicrophoneUnmuted
    | SamplesLost
    | LevelMeasured
    | WakeHeard
    | WakeWordsSet
    | VolumeSet
    | WakeJudged
    | Pressed
    | Released
    | SpeechStarted
    | SpeechEnded
    | TurnStarted
    | PartialText
    | UtteranceEnded
    | FinalText
    | EngineFailed
    | ReplyDecided
    | NoticeDecided
    | ClauseSynthesized
    | SynthesisFinished
    | ReplyStarted
    | ReplyFinished
    | ReplyCut
    | TurnEnded
    | StaleDropped
    | AlertRaised
    | AlertCleared
    | CallDialling
    | CallRinging
    | CallLive
    | CallEnded
    | EarsStarted
    | EarsReady
)
