"""What came so far, in the text form that Prometheus reads: numbers alone, nothing that anybody said. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4"
Labelled = Mapping[str, float]


def exposition(
    *,
    seen: int,
    handled: int,
    replayed: int,
    refused: Labelled,
    messages: Labelled,
    active_calls: int,
    uptime_s: float,
) -> str:
    """`refused` by code, `messages` of Vapi by type."""
    lines = [
        *_one("webhooks_seen_total", "counter", "Requests to a webhook.", seen),
        *_one("webhooks_handled_total", "counter", "Authentic ones, for the first time.", handled),
        *_one("webhooks_replayed_total", "counter", "Authentic ones that were there before.", replayed),
        *_many("webhooks_refused_total", "Turned away, by code.", "code", refused),
        *_many("vapi_messages_total", "Messages of Vapi, by type.", "type", messages),
        *_one("active_calls", "gauge", "Calls at Vapi that have not ended.", active_calls),
        *_one("uptime_seconds", "gauge", "Since the webhooks were put together.", uptime_s),
    ]
    return "\n".join(lines) + "\n"


def _one(name: str, kind: str, help: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, help)
    yield f"wakeline_{name} {value:g}" if isinstance(value, float) else f"wakeline_{name} {value}"


def _many(name: str, help: str, label: str, values: Labelled) -> Iterator[str]:
    yield from _head(name, "counter", help)
    for key, value in sorted(values.items()):
        yield f'wakeline_{name}{{{label}="{_escaped(key)}"}} {value}'


def _head(name: str, kind: str, help: str) -> Iterator[str]:
    yield f"# HELP wakeline_{name} {help}"
    yield f"# TYPE wakeline_{name} {kind}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
