"""THE transition table: three regions, each an Enum with one owner (the conversation), no booleans beside them.

Theory of operation
-------------------
Everything that happens is first a *trigger*. The conversation looks it up here under the region's present state and
gets the next state and the name of the action to carry out. Nothing else changes a state.

**Turn.** IDLE waits for the wake word or the button. A second detector looks at the word while LISTENING has begun;
when it says no, the turn ends without a sound (REJECTED). LISTENING has an utterance open; it ends by silence, by
releasing the button, by the cap, or in NOTHING_SAID. THINKING waits first for the final text, then for the app's
answer. SPEAKING plays the answer; wake word and button cut it (when `audio/bargein.py` says so) and open the next
turn. FOLLOW_UP listens for a while without the wake word. ALERTING rings until it is cleared; a voice opens a turn
without the word. Coming to rest in IDLE, the conversation looks whether a notice waits or something still rings.

**Call.** A call is placed (DIALLING) or comes in (RINGING), becomes LIVE and ends. The turn goes on beside it.

**Microphone.** OPEN, MUTED by wish, or LOST by fault; it begins as LOST until the card says otherwise, and an unmuted
microphone is LOST until it is open again. Closing it ends an utterance, never a reply.

Every pair that is not in a table is listed under IGNORED; a pair in neither is our mistake and raises `KeyError`.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Turn(Enum):
    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    FOLLOW_UP = "follow_up"
    ALERTING = "alerting"


class Call(Enum):
    NONE = "none"
    RINGING = "ringing"
    DIALLING = "dialling"
    LIVE = "live"


class Microphone(Enum):
    OPEN = "open"
    MUTED = "muted"
    LOST = "lost"


class On(Enum):
    """What can happen to a turn."""

    WAKE = "the wake word was heard"
    PRESS = "the button was pressed"
    VOICE = "a voice began"
    UTTERANCE_DONE = "the user has finished"
    NOTHING_SAID = "nothing was said"
    TEXT = "the final text is there"
    NO_TEXT = "something was said, not understood"
    NOT_FOR_US = "speech without words in a follow-up"
    REPLY = "the app has an answer"
    SILENT_REPLY = "the app has nothing to say"
    PLAYED = "the reply was played"
    PLAYED_OPEN = "the reply was played, the dialog is open"
    WINDOW_OVER = "the follow-up window is over"
    NOTICE = "the app wants to say something"
    ALERT = "something rings"
    ALERT_OVER = "nothing rings any more"
    TIMEOUT = "the answer did not come"
    MIC_CLOSED = "the microphone was closed"
    REJECTED = "it was not the wake word"


class Transition(NamedTuple):
    to: Turn
    action: str
    """Name of the conversation's method that carries it out, without the leading `_do_`."""


TURN: dict[Turn, dict[On, Transition]] = {
    Turn.IDLE: {
        On.WAKE: Transition(Turn.LISTENING, "open_after_word"),
        On.PRESS: Transition(Turn.LISTENING, "open_held"),
        On.NOTICE: Transition(Turn.SPEAKING, "speak_notice"),
        On.ALERT: Transition(Turn.ALERTING, "ring"),
    },
    Turn.LISTENING: {
        On.WAKE: Transition(Turn.LISTENING, "open_after_word"),
        On.PRESS: Transition(Turn.LISTENING, "open_held"),
        On.UTTERANCE_DONE: Transition(Turn.THINKING, "finish"),
        On.NOTHING_SAID: Transition(Turn.IDLE, "give_up"),
        On.MIC_CLOSED: Transition(Turn.IDLE, "give_up"),
        On.REJECTED: Transition(Turn.IDLE, "reject"),
    },
    Turn.THINKING: {
        On.TEXT: Transition(Turn.THINKING, "ask"),
        On.NO_TEXT: Transition(Turn.THINKING, "ask"),
        On.NOT_FOR_US: Transition(Turn.IDLE, "end_not_heard"),
        On.REJECTED: Transition(Turn.IDLE, "reject"),
        On.REPLY: Transition(Turn.SPEAKING, "say"),
        On.SILENT_REPLY: Transition(Turn.IDLE, "end_answered"),
        On.WAKE: Transition(Turn.LISTENING, "open_after_word"),
        On.PRESS: Transition(Turn.LISTENING, "open_held"),
        On.TIMEOUT: Transition(Turn.IDLE, "fail"),
    },
    Turn.SPEAKING: {
        On.PLAYED: Transition(Turn.IDLE, "end_answered"),
        On.PLAYED_OPEN: Transition(Turn.FOLLOW_UP, "wait"),
        On.WAKE: Transition(Turn.LISTENING, "open_after_word"),
        On.PRESS: Transition(Turn.LISTENING, "open_held"),
        On.TIMEOUT: Transition(Turn.IDLE, "fail"),
    },
    Turn.FOLLOW_UP: {
        On.VOICE: Transition(Turn.LISTENING, "open_at_onset"),
        On.WAKE: Transition(Turn.LISTENING, "open_after_word"),
        On.PRESS: Transition(Turn.LISTENING, "open_held"),
        On.WINDOW_OVER: Transition(Turn.IDLE, "rest"),
        On.MIC_CLOSED: Transition(Turn.IDLE, "rest"),
        On.ALERT: Transition(Turn.ALERTING, "ring"),
    },
    Turn.ALERTING: {
        On.VOICE: Transition(Turn.LISTENING, "open_at_onset"),
        On.WAKE: Transition(Turn.LISTENING, "open_after_word"),
        On.PRESS: Transition(Turn.LISTENING, "open_held"),
        On.NOTICE: Transition(Turn.SPEAKING, "speak_notice"),
        On.ALERT_OVER: Transition(Turn.IDLE, "rest"),
    },
}

_LATE = {On.UTTERANCE_DONE, On.NOTHING_SAID, On.TEXT, On.NO_TEXT, On.NOT_FOR_US, On.REPLY, On.SILENT_REPLY, On.PLAYED}
_LATE |= {On.PLAYED_OPEN, On.WINDOW_OVER, On.TIMEOUT, On.REJECTED}

IGNORED: dict[Turn, frozenset[On]] = {
    # A voice without a wake word is none of our business; what rings or waits is looked at when the turn comes to rest.
    Turn.IDLE: frozenset({On.VOICE, On.ALERT_OVER, On.MIC_CLOSED} | _LATE),
    Turn.LISTENING: frozenset(
        {On.VOICE, On.NOTICE, On.ALERT, On.ALERT_OVER} | _LATE - {On.UTTERANCE_DONE, On.NOTHING_SAID, On.REJECTED}
    ),
    Turn.THINKING: frozenset(
        {On.VOICE, On.NOTICE, On.ALERT, On.ALERT_OVER, On.MIC_CLOSED, On.UTTERANCE_DONE, On.NOTHING_SAID}
        | {On.PLAYED, On.PLAYED_OPEN, On.WINDOW_OVER}
    ),
    Turn.SPEAKING: frozenset(
        {On.VOICE, On.NOTICE, On.ALERT, On.ALERT_OVER, On.MIC_CLOSED} | _LATE - {On.PLAYED, On.PLAYED_OPEN, On.TIMEOUT}
    ),
    # A notice waits for the end of the window: a question was asked, its answer comes first.
    Turn.FOLLOW_UP: frozenset({On.NOTICE, On.ALERT_OVER} | _LATE - {On.WINDOW_OVER}),
    Turn.ALERTING: frozenset({On.ALERT, On.MIC_CLOSED} | _LATE),
}


class OnCall(Enum):
    """What can happen to the call."""

    DIALLED = "we place a call"
    INCOMING = "a call comes in"
    ANSWERED = "both ends talk"
    ENDED = "the call is over"


CALL: dict[Call, dict[OnCall, Call]] = {
    Call.NONE: {OnCall.DIALLED: Call.DIALLING, OnCall.INCOMING: Call.RINGING},
    Call.RINGING: {OnCall.ANSWERED: Call.LIVE, OnCall.ENDED: Call.NONE},
    Call.DIALLING: {OnCall.ANSWERED: Call.LIVE, OnCall.ENDED: Call.NONE},
    Call.LIVE: {OnCall.ENDED: Call.NONE},
}

CALL_IGNORED: dict[Call, frozenset[OnCall]] = {
    Call.NONE: frozenset({OnCall.ANSWERED, OnCall.ENDED}),
    Call.RINGING: frozenset({OnCall.DIALLED, OnCall.INCOMING}),
    Call.DIALLING: frozenset({OnCall.DIALLED, OnCall.INCOMING}),
    Call.LIVE: frozenset({OnCall.DIALLED, OnCall.INCOMING, OnCall.ANSWERED}),
}


class OnMicrophone(Enum):
    """What can happen to the microphone."""

    OPENED = "the card delivers"
    FAILED = "the card is gone"
    MUTE = "the user wants it closed"
    UNMUTE = "the user wants it open"


MICROPHONE: dict[Microphone, dict[OnMicrophone, Microphone]] = {
    Microphone.OPEN: {OnMicrophone.FAILED: Microphone.LOST, OnMicrophone.MUTE: Microphone.MUTED},
    Microphone.MUTED: {OnMicrophone.UNMUTE: Microphone.LOST},
    Microphone.LOST: {OnMicrophone.OPENED: Microphone.OPEN, OnMicrophone.MUTE: Microphone.MUTED},
}

MICROPHONE_IGNORED: dict[Microphone, frozenset[OnMicrophone]] = {
    Microphone.OPEN: frozenset({OnMicrophone.OPENED, OnMicrophone.UNMUTE}),
    Microphone.MUTED: frozenset({OnMicrophone.OPENED, OnMicrophone.FAILED, OnMicrophone.MUTE}),
    Microphone.LOST: frozenset({OnMicrophone.FAILED, OnMicrophone.UNMUTE}),
}


def turn_step(state: Turn, on: On) -> Transition | None:
    """The transition, or None where the pair is listed as ignored."""
    return None if on in IGNORED[state] else TURN[state][on]


def call_step(state: Call, on: OnCall) -> Call | None:
    return None if on in CALL_IGNORED[state] else CALL[state][on]


def microphone_step(state: Microphone, on: OnMicrophone) -> Microphone | None:
    return None if on in MICROPHONE_IGNORED[state] else MICROPHONE[state][on]
