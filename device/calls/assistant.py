"""Owns the assistant at Vapi: built from the configuration and the function contract, in the interface's field names.

Pure: the same configuration and the same functions give the same value. What Vapi decides by itself is left out, what
its runtime decides differently from its documents (background sound, words before an interruption) is always said.
"""

from __future__ import annotations

import re
from typing import Any

from device.config import Config
from device.functions.export import vapi_tool
from device.functions.registry import Registry
from device.settings import AssistantSection

WEBHOOK_PATH = "/webhook/vapi"
SECRET_HEADER = "X-Vapi-Secret"
TIMEOUT_S = 20
"""Well above the budget of a function, so that "still working" always arrives."""
_MAX_TOKENS = 200
_RETRIES = 5
_MESSAGES = (
    "assistant.started",
    "end-of-call-report",
    "hang",
    "speech-update",
    "status-update",
    "tool-calls",
    "transfer-destination-request",
    "user-interrupted",
)
"""What the endpoint uses; transcripts only where somebody wants to interrupt by them."""
_PERSON = "A person who can help further."

Assistant = dict[str, Any]


def build_assistant(config: Config, registry: Registry, *, secret: str = "") -> Assistant:
    """The assistant in the form of `POST /assistant`. `secret` is sent along where no credential signs the webhooks."""
    wanted = config.assistant
    return {
        "name": wanted.name,
        "firstMessage": wanted.first_message,
        "firstMessageMode": "assistant-speaks-first" if wanted.first_message else "assistant-waits-for-user",
        "model": {
            "provider": wanted.model_provider,
            "model": wanted.model,
            "messages": [{"role": "system", "content": wanted.prompt}],
            "temperature": wanted.temperature,
            "maxTokens": _MAX_TOKENS,
            "tools": tools(wanted, registry),
        },
        "voice": _voice(wanted),
        "transcriber": _transcriber(wanted),
        "startSpeakingPlan": _start_plan(wanted),
        # Interrupting from here would come too late if Vapi did it by itself after the first sound.
        "stopSpeakingPlan": {
            "numWords": 10 if wanted.interrupt_by_transcript else 0,
            "voiceSeconds": 0.2,
            "backoffSeconds": 1,
        },
        "maxDurationSeconds": wanted.longest_s,
        "endCallMessage": wanted.end_message,
        "artifactPlan": {"recordingEnabled": wanted.recording},
        "backgroundSound": "off",
        # A late result is told by the control URL; nobody here listens in.
        "monitorPlan": {"controlEnabled": True, "listenEnabled": False},
        **_server(config, secret),
        "serverMessages": sorted((*_MESSAGES, *(("transcript",) if wanted.interrupt_by_transcript else ()))),
    }


def tools(wanted: AssistantSection, registry: Registry) -> list[dict[str, Any]]:
    """What the model may use: our functions, hanging up, and a person if there is one."""
    found = [vapi_tool(spec) for spec in registry.for_origin("call")]
    found.append({"type": "endCall"})
    if wanted.transfer_to:
        found.append({"type": "transferCall", "destinations": [destination(wanted.transfer_to)]})
    return found


def destination(address: str) -> dict[str, Any]:
    """Where a caller is put through to: a SIP address or a number."""
    if address.startswith(("sip:", "sips:")):
        return {"type": "sip", "sipUri": address, "description": _PERSON}
    return {"type": "number", "number": address, "description": _PERSON}


def legacy_form(assistant: Assistant) -> Assistant:
    """The same in the field names of 2024, for accounts and code that still use them."""
    model = {key: value for key, value in assistant["model"].items() if key not in ("messages", "tools", "maxTokens")}
    used = assistant["model"]["tools"]
    old = {key: assistant[key] for key in ("name", "firstMessage", "endCallMessage", "maxDurationSeconds", "voice")}
    old["model"] = model | {
        "systemPrompt": assistant["model"]["messages"][0]["content"],
        "functions": [tool["function"] for tool in used if tool["type"] == "function"],
    }
    old["transcriber"] = assistant["transcriber"]
    old["recordingEnabled"] = assistant["artifactPlan"]["recordingEnabled"]
    old["endCallFunctionEnabled"] = True
    for tool in used:
        if tool["type"] == "transferCall" and "number" in tool["destinations"][0]:
            old["forwardingPhoneNumber"] = tool["destinations"][0]["number"]
    if "server" in assistant:
        old["serverUrl"] = assistant["server"]["url"]
    old["serverMessages"] = ["function-call", *assistant["serverMessages"]]
    return old


def _voice(wanted: AssistantSection) -> dict[str, Any]:
    voice: dict[str, Any] = {"provider": wanted.voice_provider, "voiceId": wanted.voice_id}
    if wanted.voice_provider == "11labs":
        voice |= {"stability": wanted.voice_stability, "similarityBoost": wanted.voice_similarity}
    return voice


def _transcriber(wanted: AssistantSection) -> dict[str, Any]:
    heard: dict[str, Any] = {
        "provider": wanted.transcriber_provider,
        "model": wanted.transcriber_model,
        "language": wanted.language,
    }
    if wanted.transcriber_provider != "deepgram" or not wanted.keywords:
        return heard
    if wanted.transcriber_model.startswith(("nova-3", "flux")):
        return heard | {"keyterm": list(wanted.keywords)}
    # The older models take single words only, each with its weight: a phrase gives all of its words.
    words = dict.fromkeys(word for phrase in wanted.keywords for word in re.findall(r"[^\W\d_][^\W_]*", phrase))
    return heard | {"keywords": [f"{word}:2" for word in words]}


def _start_plan(wanted: AssistantSection) -> dict[str, Any]:
    plan: dict[str, Any] = {"waitSeconds": 0.4}
    if not wanted.transcriber_model.startswith("flux"):  # it finds the end of a turn itself, unless told otherwise
        plan["smartEndpointingPlan"] = {"provider": "vapi"}
    return plan


def _server(config: Config, secret: str) -> dict[str, Any]:
    if not config.web.base_url:
        return {}
    server: dict[str, Any] = {
        "url": config.web.base_url.rstrip("/") + WEBHOOK_PATH,
        "timeoutSeconds": TIMEOUT_S,
        # Without a plan nothing is sent again. Answers to a retry come from our record, so retrying is harmless.
        "backoffPlan": {"type": "exponential", "maxRetries": _RETRIES, "baseDelaySeconds": 1},
    }
    if config.assistant.credential_id:
        server["credentialId"] = config.assistant.credential_id
    elif secret and "x-vapi-secret" in config.web.schemes:
        server["headers"] = {SECRET_HEADER: secret}
    return {"server": server}
