"""Errors of the set-up, each with a stable code and a sentence that says what to change.

ConfigError   code of its first problem: "config-not-found", "config-unreadable", "config-syntax",
              "config-unknown-key", "config-wrong-value"
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in the configuration."""

    code: str
    where: str
    """The file, or the environment variable."""
    key: str
    """Dotted: "endpoint.silence_ms"."""
    message: str
    suggestion: str = ""
    """The key that was probably meant."""

    def __str__(self) -> str:
        meant = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return ": ".join(part for part in (self.where, self.key, self.message + meant) if part)


class ConfigError(Exception):
    """The configuration cannot be used; the message has one line for each problem."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    @property
    def code(self) -> str:
        return self.problems[0].code
