"""Writes what the documentation takes from the code, so that it cannot drift (`make docs`)."""

import json
import re
from pathlib import Path
from typing import Final

from shared.domain.requests import json_schema
from shared.domain.reset import State
from shared.domain.states import ALLOWED
from shared.web.openapi import openapi_text

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
SCHEMA: Final = DOCS / "use" / "reset-request.schema.json"
OPENAPI: Final = DOCS / "use" / "openapi.json"
STATES: Final = DOCS / "design" / "states.md"
_DIAGRAM: Final = re.compile(r"```mermaid\nstateDiagram-v2\n.*?```", re.DOTALL)


def schema() -> str:
    """The published JSON Schema of a reset request."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def diagram() -> str:
    """The state machine as the code has it; an arrow to itself is left out."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> accepted"]
    for state in State:
        after = [to for to in State if to in ALLOWED[state] and to is not state]
        lines += [f"    {state} --> {to}" for to in after] or [f"    {state} --> [*]"]
    return "\n".join([*lines, "```"])


def states(text: str) -> str:
    """*text* with the diagram as it should be."""
    return _DIAGRAM.sub(lambda _: diagram(), text)


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    OPENAPI.write_text(openapi_text(), encoding="utf-8")
    STATES.write_text(states(STATES.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {SCHEMA.name}, {OPENAPI.name} and the diagram in {STATES.name}")
