"""Owns the hard recordings: requests in noisy rooms, requests with a pause inside; and the plain endpoint beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, get_args

import numpy as np

from audio.frames import FRAME, RATE, Pcm, Samples, ms, silence
from audio.resample import resample
from audio.settings import EndpointSettings
from device.bench.noise import Floats, active_level, babble, mixed, pink
from device.bench.requests import Spoken
from device.bench.speech import WAKE, Request, Voice, assemble, edges, speak, trimmed, with_pause

PAUSES_MS = (400, 450, 500, 550, 600)
_LEAD_MS = 3000
"""Somebody walks up: the room is there before the first word."""
_TAIL_MS = 17_000
"""The noise outlasts the longest utterance, so that only the endpoint can end one."""
_NOISE_S = 60
_SEED = 7


@dataclass(frozen=True, slots=True)
class Room:
    """A noise and how far it lies below the speech."""

    name: str
    kind: str
    snr_db: float


ROOMS = (Room("pink10", "pink", 10.0), Room("babble15", "babble", 15.0))


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    return tomllib.loads(resources.files("device.bench").joinpath("requests.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def talkers() -> list[list[Pcm]]:
    """Six: two voices, three times each, of other pitch and speed; none has a wake word to say."""
    texts = table()["babble"]["say"]
    found = []
    for voice in get_args(Voice):
        for pitch in (0.92, 1.0, 1.08):
            found.append([resample(speak(voice, text), round(RATE * pitch), RATE) for text in texts[::2]])
        texts = texts[1:]
    return found


@lru_cache(maxsize=4)
def noise(kind: str) -> Floats:
    """A minute of it, of RMS 1; the same every time."""
    rng = np.random.default_rng(_SEED)
    if kind == "pink":
        return pink(_NOISE_S * RATE, rng)
    return babble(_NOISE_S * RATE, talkers(), rng)


def in_room(request: Request, room: Room, number: int) -> Spoken:
    """The request called and said in that room; `number` chooses the piece of the noise."""
    speech = with_pause(request.voice, request.text)
    clean = assemble([speech], _TAIL_MS, lead_ms=_LEAD_MS)
    loop = noise(room.kind)
    piece = np.roll(loop, -int(np.random.default_rng(number).integers(len(loop))))[: len(clean)]
    pcm = mixed(clean, piece, active_level(speech), room.snr_db)
    return Spoken(request, room.name, pcm, Samples(ms(_LEAD_MS) + edges(speech)[1]))


def paused(count: int = 30) -> list[Spoken]:
    """Requests with a pause inside, of what length is exact: the silence of the synthesis is cut off."""
    found = []
    entries = table()["pause"]
    voices = get_args(Voice)
    for number in range(count):
        entry = entries[number % len(entries)]
        voice = voices[(number + number // len(entries)) % 2]
        pause = PAUSES_MS[(number + number // len(entries)) % len(PAUSES_MS)]
        first, second = entry["say"]
        request = Request(
            f"{entry['expected']}-{number + 1}",
            voice,
            f"{first} {second}",
            entry["expected"],
            entry.get("arguments", {}),
            entry.get("reply", ""),
        )
        parts = [speak(voice, f"{WAKE}."), silence(ms(700)), trimmed(speak(voice, first)), silence(ms(pause))]
        speech = np.concatenate([*parts, trimmed(speak(voice, second))])
        pcm = assemble([speech], 2500)
        found.append(Spoken(request, f"pause{pause}", pcm, Samples(ms(500) + len(speech))))
    return found


# -- the plain endpoint ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Plain:
    """What the voice detector alone makes of it: so long without a voiced frame ends an utterance."""

    cut: int
    capped: int
    of: int

    def values(self) -> dict[str, int]:
        return {"cut": self.cut, "capped": self.capped, "of": self.of}


def plain_endpoint(spoken: Sequence[Spoken], settings: EndpointSettings | None = None) -> Plain:
    """The same recordings, the same silence and cap, without a noise floor and without the talker's level."""
    settings = settings or EndpointSettings()
    cut = capped = 0
    for one in spoken:
        assert one.end is not None
        start = Samples(one.end - len(trimmed_request(one)))
        end = _plain_end(one.pcm, start, settings)
        cut += end is not None and end < one.end
        capped += end is None
    return Plain(cut, capped, len(spoken))


def trimmed_request(one: Spoken) -> Pcm:
    """From the first sound of the request to the last: the part after the pause behind the wake word."""
    assert one.end is not None
    wake = speak(one.request.voice, f"{WAKE}.")
    lead = ms(_LEAD_MS if one.way in {room.name for room in ROOMS} else 500)
    return one.pcm[lead + len(wake) + ms(700) : one.end]


def _plain_end(pcm: Pcm, start: Samples, settings: EndpointSettings) -> Samples | None:
    """None: the cap came first."""
    from models.vad import WebRtcVoiceDetector

    detector = WebRtcVoiceDetector()
    detector.load()
    last: int | None = None
    for at in range(0, len(pcm) - FRAME + 1, FRAME):
        voiced = detector.is_speech(pcm[at : at + FRAME])
        if at < start:
            continue
        if at - start >= ms(settings.cap_ms):
            return None
        if voiced:
            last = at + FRAME
        elif last is not None and at + FRAME - last >= ms(settings.silence_ms):
            return Samples(at + FRAME)
    return Samples(len(pcm))
