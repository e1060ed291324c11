"""Owns the thresholds of the loop, one frozen group per policy, in milliseconds; the TOML sections mirror them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

_STRICT: dict[str, Any] = {"extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class GateSettings:
    """When is there a voice?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    attack_ms: int = 50
    """So much voice opens the gate."""
    window_ms: int = 80
    """... within so much time: a voice is seldom voiced without a gap."""
    hangover_ms: int = 150
    """The gate closes after so long without voice."""
    margin_db: float = 6.0
    """A frame counts as voice only so far above the tracked noise floor."""
    floor_rise_db_per_s: float = 3.0
    """The noise floor follows a louder room at this rate; a quieter one at once."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """When has the user finished?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    silence_ms: int = 700
    """So long without a voice ends the utterance: 600 ms cut a third of the requests with a pause of 400 to 600 ms
    inside, 700 none. The recognizer uses the time, see `audio/utterance.py`."""
    no_speech_ms: int = 5000
    """Give up when nothing is said for so long after the wake word."""
    follow_up_ms: int = 6000
    """... and after a reply that keeps the conversation open."""
    cap_ms: int = 15_000
    """The last resort: no utterance is longer."""
    talker_share: float = 0.6
    """Between the noise floor (0) and the talker's level (1): what is softer does not keep the utterance open."""
    softer_db: float = 12.0
    """Without a wake word, after a reply: in a loud room a voice so much softer than the last talker's is the room."""
    min_speech_ms: int = 120
    """Less voice than this is no utterance (the tail of the wake word, a click)."""


@dataclass(frozen=True, slots=True)
class RecognitionSettings:
    """What the recognizer is given."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    preroll_ms: int = 500
    """Heard from before the onset of the voice, so that the first syllable is not lost."""
    partial_ms: int = 300
    """Time between two partial transcripts while the user speaks; 0 for none."""


@dataclass(frozen=True, slots=True)
class WakeSettings:
    """How a wake word that one detector has heard is confirmed by another."""

    confirmed: tuple[str, ...] = ()
    """The words that a second detector looks at."""
    before_ms: int = 2400
    """It hears from so long before the detection ..."""
    after_ms: int = 400
    """... to so long after it; listening has begun meanwhile."""


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """How the appliance speaks."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    timeout_ms: int = 15_000
    """An answer that is not decided or spoken by then is given up with an apology."""
    fade_ms: int = 10
    """Length of the fade at a cut, so that it does not click."""
    earcons: bool = True
    """Short sounds for heard, ready and cannot hear."""
    volume_db: float = 0.0
    """Loudness of everything the appliance plays."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Everything the core needs to know."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    gate: GateSettings = field(default_factory=GateSettings)
    endpoint: EndpointSettings = field(default_factory=EndpointSettings)
    recognition: RecognitionSettings = field(default_factory=RecognitionSettings)
    reply: ReplySettings = field(default_factory=ReplySettings)
    wake: WakeSettings = field(default_factory=WakeSettings)
