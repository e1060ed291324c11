"""Assistants of every shape that the configuration can give, for those who judge them."""

from __future__ import annotations

from typing import Any

from device.calls.assistant import build_assistant
from device.config import Config
from device.functions.registry import Registry

VARIANTS: list[dict[str, Any]] = [
    {},
    {"transfer_to": "+12025550143", "credential_id": "cr-1", "interrupt_by_transcript": True},
    {"transfer_to": "sip:desk@example.org", "voice_provider": "11labs", "voice_id": "burt", "recording": True},
    {"transcriber_model": "nova-2", "keywords": ("appointment", "front desk", "No. 5"), "first_message": ""},
    {"transcriber_model": "flux-general-en", "language": "en", "keywords": ()},
    {"model_provider": "anthropic", "model": "claude-sonnet-4-20250514"},
]


def built(wanted: dict[str, Any]) -> dict[str, Any]:
    return build_assistant(
        Config(web={"base_url": "https://edge.example.org"}, assistant=wanted),  # type: ignore[arg-type]
        Registry.load(),
        secret="s",
    )
