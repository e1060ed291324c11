"""Draws docs/turn.md from the transition tables, so that the picture cannot say something else than the code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audio import turn

OUT = Path(__file__).parent.parent / "docs" / "turn.md"


def render() -> str:
    """The whole page."""
    lines = [
        "# The three regions",
        "",
        "Drawn from `audio/turn.py` by `python -m tools.diagram`; a test keeps it current. The theory is at the top of",
        "that file.",
        "",
        "## Turn",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> idle",
    ]
    for state, transitions in turn.TURN.items():
        for on, step in transitions.items():
            lines.append(f"    {state.value} --> {step.to.value}: {on.value} / {step.action}")
    lines += ["```", "", "| state | ignored there |", "|---|---|"]
    for state, ignored in turn.IGNORED.items():
        lines.append(f"| {state.value} | {'; '.join(sorted(on.value for on in ignored))} |")
    for title, table in (("Call", turn.CALL), ("Microphone", turn.MICROPHONE)):
        lines += ["", f"## {title}", "", "```mermaid", "stateDiagram-v2"]
        for before, steps in table.items():
            for why, after in steps.items():
                lines.append(f"    {before.value} --> {after.value}: {why.value}")
        lines.append("```")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the page is current")
    if parser.parse_args().check:
        return 0 if OUT.read_text() == render() else 1
    OUT.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
