"""Owns the call and the microphone region: their states, stepped by the tables of `audio/turn.py`."""

from __future__ import annotations

from audio.events import (
    CallDialling,
    CallEnded,
    CallLive,
    CallRinging,
    Event,
    MicrophoneLost,
    MicrophoneMuted,
    MicrophoneOpened,
    MicrophoneUnmuted,
    MuteRequested,
)
from audio.turn import Call, Microphone, OnCall, OnMicrophone, call_step, microphone_step


class Regions:
    """The two regions that live beside the turn."""

    def __init__(self) -> None:
        self.call = Call.NONE
        self.microphone = Microphone.LOST

    @property
    def hearing(self) -> bool:
        return self.microphone is Microphone.OPEN

    def receive(self, event: Event) -> tuple[Event, ...]:
        """Step the region the event belongs to, if any; returns the facts that follow from it."""
        match event:
            case CallDialling():
                self._call(OnCall.DIALLED)
            case CallLive():
                self._call(OnCall.ANSWERED)
            case CallEnded():
                self._call(OnCall.ENDED)
            case CallRinging():
                pass  # The far end rings: to us the call is still being placed.
            case MicrophoneOpened():
                self._microphone(OnMicrophone.OPENED)
            case MicrophoneLost():
                self._microphone(OnMicrophone.FAILED)
            case MuteRequested(muted=True):
                if self._microphone(OnMicrophone.MUTE):
                    return (MicrophoneMuted(at=event.at),)
            case MuteRequested():
                if self._microphone(OnMicrophone.UNMUTE):
                    return (MicrophoneUnmuted(at=event.at),)
        return ()

    def _call(self, on: OnCall) -> None:
        self.call = call_step(self.call, on) or self.call

    def _microphone(self, on: OnMicrophone) -> bool:
        after = microphone_step(self.microphone, on)
        self.microphone = after or self.microphone
        return after is not None
