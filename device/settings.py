"""Owns the sections of the configuration: one frozen group per concern, a sentence under each setting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from device.functions.hours import DayHours
from device.section import Percent, Section


class AudioSection(Section):
    """The sound card."""

    input: str | int = ""
    """Microphone: part of its name, its index, or "" for the system's default; `wakeline devices` lists them."""
    output: str | int = ""
    """Loudspeaker, likewise."""
    channel: Annotated[int, Field(ge=-1)] = 0
    """Which channel of the microphone is heard, from 0; -1 is the mean of all."""
    channels: Annotated[int, Field(ge=0, le=64)] = 0
    """So many it has; 0: as the card says. A sound server does not say it."""


class WakeWordSection(Section):
    """What is special about one wake word: `[wake.word.hey_jarvis]`."""

    threshold: Percent | None = None
    """How sure the first detector must be, 0 to 1; unset is its own choice."""
    patience: Annotated[int, Field(ge=1, le=20)] = 1
    """So many of its scores in a row (every 30 ms, openWakeWord every 80)."""
    model: str = ""
    """A model of your own: the .json beside a microWakeWord .tflite, an openWakeWord .tflite, or its .onnx."""
    second_threshold: Percent | None = None
    """How sure the second detector must be."""
    second_model: str = ""
    """An openWakeWord .tflite of your own for the second detector."""
    hours: DayHours = ""
    """Listened for only then, for instance "09:00-24:00"; unset: always."""


class WakeSection(Section):
    """The wake word."""

    engine: Literal["micro", "open", "openwakeword", "none"] = "micro"
    """"micro" costs half a percent of a core, "open" (openWakeWord's models) more; "openwakeword" is its own package,
    for .onnx models of yours (Python 3.11, `pip install wakeline[openwakeword]`); "none" leaves push-to-talk."""
    words: tuple[str, ...] = ("hey_jarvis",)
    """All of them are listened for at once."""
    confirm: bool = True
    """openWakeWord looks at what "micro" has heard, while listening has begun: fewer false alarms, more words found."""
    threshold: Percent | None = None
    """How sure the engine must be, 0 to 1; unset is the engine's own choice."""
    word: dict[str, WakeWordSection] = Field(default_factory=dict)
    """By the word's name."""


class SttSection(Section):
    """Speech to text."""

    engine: Literal["moonshine", "vosk"] = "moonshine"
    """"moonshine" comes with the package; "vosk" decodes while one speaks, and its model is downloaded once."""
    model: str = ""
    """For "vosk": a name from `wakeline models list`, or a model's folder; unset: vosk-small-en."""


class TtsSection(Section):
    """Text to speech."""

    engine: Literal["piper", "hibari"] = "piper"
    """"piper": the joe voice (GPL-3.0, in a process of its own); "hibari": 5 to 8 times faster (Apache-2.0)."""
    speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """1 is the voice's own pace."""


class DialogSection(Section):
    """What is understood and said."""

    language: str = "en"
    """A folder below device/dialog."""
    min_confidence: Percent = 0.5
    """A transcript less sure than this counts as not understood."""
    context_s: Annotated[float, Field(gt=0)] = 120.0
    """A talk is forgotten so long after its last turn: the next person starts fresh."""
    wipe_s: Annotated[float, Field(gt=0)] = 20.0
    """At the device it is forgotten so long after the last turn has ended and nobody spoke again."""
    trust_clock: bool = False
    """Believe the clock although it was not synchronised since the start and no battery keeps it."""


class DestinationSection(Section):
    """Somebody who can be called, under the name people say."""

    link: Literal["practice", "vapi", "twilio"] = "practice"
    """How to reach them; "practice" rings nobody and needs no account."""
    address: str = ""
    """A number in E.164 form (+12025550143); not needed for practice."""
    emergency: bool = False
    """Called without asking first, and without a budget."""


class CallsSection(Section):
    """Escalation."""

    budget_per_hour: Annotated[int, Field(ge=0)] = 6
    """No more calls are placed within an hour; emergencies do not count."""
    longest_s: Annotated[int, Field(ge=10)] = 600
    """A call is ended after so long."""
    ring_s: Annotated[int, Field(ge=5)] = 60
    """Nobody answers for so long: given up."""


class HmacSection(Section):
    """How the HMAC credential at Vapi is set up; the defaults are Vapi's own."""

    header: str = "x-signature"
    """Where the signature is."""
    prefix: str = ""
    """Before it, for instance "sha256="."""
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    """As in the credential."""
    encoding: Literal["hex", "base64"] = "hex"
    """As in the credential."""
    payload: str = "{timestamp}.{body}"
    """What is signed; {method}, {url} and {message_id} are understood too."""
    timestamp_header: str = "x-timestamp"
    """Unix time in seconds or milliseconds."""
    message_id_header: str = ""
    """Only when {message_id} is signed."""
    secret_is_base64: bool = False
    """The secret is the base64 form of the key."""


Scheme = Literal["hmac", "hmac-body", "bearer", "x-vapi-secret"]


class WebSection(Section):
    """Webhooks. The public port opens once a secret is set (VAPI_SERVER_SECRET, TWILIO_AUTH_TOKEN), never without."""

    enabled: bool = True
    """False keeps both ports closed."""
    host: str = "127.0.0.1"
    """Where the public port listens: a tunnel or proxy on this device reaches 127.0.0.1; "0.0.0.0" is everybody."""
    port: Annotated[int, Field(ge=0, le=65535)] = 3000
    """The public port; also read from PORT. 0 takes a free one."""
    private_port: Annotated[int, Field(ge=0, le=65535)] = 3001
    """Readiness and operation, on 127.0.0.1 alone."""
    base_url: str = ""
    """How the world reaches the public port (https://edge.example.org): signatures of Twilio are checked against it."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For is believed, for the rate limit alone."""
    schemes: tuple[Scheme, ...] = ("hmac", "hmac-body", "bearer", "x-vapi-secret")
    """Accepted from Vapi. Only "hmac" has a time in it; the others are protected from replay by our record alone."""
    hmac: HmacSection = HmacSection()
    """For the scheme "hmac"; "hmac-body" is x-vapi-signature, hex SHA-256 of the body."""
    window_s: Annotated[int, Field(ge=1)] = 300
    """A signature older or newer than this is refused."""
    body_limit: Annotated[int, Field(ge=1024)] = 2_000_000
    """Bytes of a request; a report at the end of a long call is the largest."""
    slow_s: Annotated[float, Field(gt=0)] = 10.0
    """A request that takes longer to arrive is ended."""
    refused_per_minute: Annotated[int, Field(ge=1)] = 60
    """Refused requests of one source; then it is answered 429 until it calms down."""
    session_ttl_s: Annotated[int, Field(ge=60)] = 3600
    """A call without events for so long is over."""


class BackendSection(Section):
    """A function behind an HTTP backend: `[functions.checkAvailability]`."""

    description: str = ""
    """What it does, for callers that choose it; the docstring of a Python function of the same name otherwise."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """GET sends the arguments in the query, the others as JSON."""
    path: str = "/"
    """Added to `url`; {argument} is filled in."""
    url: str = ""
    """Unset: BACKEND_URL."""
    headers: dict[str, str] = Field(default_factory=dict)
    """${NAME} is a secret: an environment variable or a credential."""
    parameters: dict[str, dict[str, object]] = Field(default_factory=dict)
    """JSON Schema of each argument, with `question` and `retry`; unset: those of the Python function of this name."""
    required: tuple[str, ...] = ()
    """Arguments that are asked for."""
    arguments: dict[str, str] = Field(default_factory=dict)
    """The backend's name for an argument, where it is another one."""
    result: dict[str, str] = Field(default_factory=dict)
    """Our name for what the backend answers: `available = "isAvailable"`, `nextSlots = "nextSlot"`; unset: as it is."""
    sentence: str = ""
    """Said aloud, with {names} of the result; unset: what the answer says under "sentence"."""
    alias: tuple[str, ...] = ()
    """Other names of the function."""
    effect: bool | None = None
    """It changes something; a read (false) may be asked again. Unset: as the Python function, or true."""
    confirm: str = ""
    """Asked before it runs, with {argument} in it; unset: as the Python function."""
    origins: tuple[Literal["voice", "text", "call", "web", "staff"], ...] | None = None
    """Where it may be called from; unset: as the Python function, or everywhere."""
    budget_s: Annotated[float, Field(gt=0)] | None = None
    """Longer: "still working", and the result later. Unset: as the Python function, or 4."""
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """Of one attempt at the backend."""
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    """Further attempts, with growing pauses, where asking again is harmless."""
    idempotent: bool = False
    """The backend knows an Idempotency-Key: an effect may be asked again too."""
    at_once: Annotated[int, Field(ge=0)] | None = None
    """So many of it run side by side; 0 is no limit. Unset: as the Python function, or 0."""


class AssistantSection(Section):
    """The assistant at Vapi, as `wakeline vapi assistant` builds it."""

    name: Annotated[str, Field(max_length=40)] = "wakeline"
    """Its name in the dashboard."""
    model_provider: str = "openai"
    """Whose language model."""
    model: str = "gpt-4o-mini"
    """Which one."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """0 is the most predictable."""
    prompt: str = (
        "You answer the phone for a small business. Keep every answer under 30 words, ask one question at a time, "
        "and use the tools for everything about appointments. It is {{now}}."
    )
    """The system prompt."""
    voice_provider: str = "vapi"
    """"vapi" needs no key of another vendor; "11labs" and others do."""
    voice_id: str = "Elliot"
    """As that provider names it."""
    voice_stability: Percent = 0.5
    """11labs only."""
    voice_similarity: Percent = 0.75
    """11labs only."""
    transcriber_provider: str = "deepgram"
    """Whose speech to text."""
    transcriber_model: str = "nova-3"
    """Which one."""
    language: str = "en-US"
    """Spoken by the caller."""
    keywords: tuple[str, ...] = ("appointment", "reschedule", "cancel")
    """Words the transcriber listens for."""
    first_message: str = "Hello, how can I help you?"
    """Said first."""
    end_message: Annotated[str, Field(max_length=1000)] = "Thank you for calling. Goodbye."
    """Said last."""
    recording: bool = False
    """Recorded at Vapi; ask your callers first."""
    longest_s: Annotated[int, Field(ge=10, le=43200)] = 600
    """The call is cut after so long."""
    interrupt_by_transcript: bool = False
    """Cut the agent's speech from here, on partial transcripts; Vapi's own stop plan does it otherwise."""
    transfer_to: str = ""
    """A number (+12025550143) or SIP address for a caller who wants a person."""
    credential_id: str = ""
    """The credential with which Vapi signs its webhooks; without one it sends X-Vapi-Secret."""


class VapiSection(Section):
    """The account at Vapi; its key is a secret (VAPI_API_KEY)."""

    base_url: str = "https://api.vapi.ai"
    """https://api.eu.vapi.ai for an account in the EU."""
    assistant_id: str = ""
    """Also read from VAPI_ASSISTANT_ID."""
    phone_number_id: str = ""
    """Also read from VAPI_PHONE_NUMBER_ID."""


class TwilioSection(Section):
    """The account at Twilio; its token is a secret (TWILIO_AUTH_TOKEN)."""

    base_url: str = "https://api.twilio.com"
    """Another one only for tests."""
    account_sid: str = ""
    """Also read from TWILIO_ACCOUNT_SID."""
    number: str = ""
    """The number we call from; also read from TWILIO_NUMBER."""
    inbound: Literal["vapi", "stream", "sip", "number", "assistant-stream", "say"] = "vapi"
    """What a call to our number gets: "vapi" (Vapi's documented bypass), "stream" (this device's media stream), "sip"
    or "number" (`inbound_to`), "assistant-stream" (a stream URL with an assistant id), "say" (a sentence)."""
    inbound_to: str = ""
    """sip:name@host for "sip", +12025550143 for "number", wss://... for the two streams."""
    inbound_text: str = "Sorry, nobody can take your call right now. Please call again later."
    """For "say", and when everything else fails."""


class PrivacySection(Section):
    """What may be kept."""

    record_text: bool = False
    """Write what people said into the event record. Audio is never recorded."""


class RecordSection(Section):
    """The event record."""

    enabled: bool = True
    """Keep one."""
    max_bytes: Annotated[int, Field(ge=4096)] = 2_000_000
    """Size of one file."""
    files: Annotated[int, Field(ge=1)] = 5
    """So many files are kept."""


_SERVICE_STATE = Path("/var/lib/wakeline")
_SERVICE_RUNTIME = Path("/run/wakeline")


def _state_dir() -> Path:
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    # Where the service is installed and this user may, its commands reach it: the book there is the book.
    return _SERVICE_STATE if os.access(_SERVICE_STATE, os.W_OK) else Path.home() / ".local" / "state" / "wakeline"


def _runtime_dir() -> Path:
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    if os.access(_SERVICE_RUNTIME, os.W_OK):
        return _SERVICE_RUNTIME
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) / "wakeline" if base else Path(f"/tmp/wakeline-{os.getuid()}")


class PathsSection(Section):
    """Where things are."""

    state_dir: Path = Field(default_factory=_state_dir)
    """Database and event record; under systemd $STATE_DIRECTORY."""
    runtime_dir: Path = Field(default_factory=_runtime_dir)
    """Control socket; under systemd $RUNTIME_DIRECTORY."""
    extensions: Path | None = None
    """Folder with your own functions (*.py) and sentences (*.yaml); unset: `functions` beside the file."""
