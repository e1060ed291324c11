"""Owns what waits for the turn to come to rest: notices to be said, alerts that ring."""

from __future__ import annotations

from audio.events import AlertCleared, AlertRaised, NoticeDecided

_MOST_NOTICES = 32


class Waiting:
    """In the order in which it came."""

    def __init__(self) -> None:
        self.notices: list[NoticeDecided] = []
        self.alerts: dict[str, AlertRaised] = {}

    def receive(self, event: NoticeDecided | AlertRaised | AlertCleared) -> None:
        """One more, or one less."""
        match event:
            case NoticeDecided():
                self.notices = [*self.notices, event][-_MOST_NOTICES:]
            case AlertRaised():
                self.alerts[event.alert] = event
            case AlertCleared():
                self.alerts.pop(event.alert, None)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What stops that which rings."""
        return sum((alert.phrases for alert in self.alerts.values()), ())
