"""
`python -m local.deployment.github settings|outputs`: hand values to the later steps of a workflow.

`settings` takes what RELINK_SETTINGS holds (a JSON object), `outputs` what the template gave (read
from `az`, on standard input). Standard library only.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path


def lines(values: Mapping[str, str]) -> str:
    """Return *values* as GITHUB_ENV takes them, those of several lines too."""
    end = f"end-{secrets.token_hex(8)}"
    return "".join(f"{name}<<{end}\n{value}\n{end}\n" for name, value in values.items())


def settings(text: str) -> dict[str, str]:
    """Return the variables in a JSON object of texts; a catalogue may stand as an object."""
    found = json.loads(text or "{}")
    if not isinstance(found, dict):
        raise TypeError("RELINK_SETTINGS must be a JSON object")
    return {n: v if isinstance(v, str) else json.dumps(v) for n, v in found.items()}


def outputs(text: str) -> dict[str, str]:
    """Return the template's outputs that the hooks read."""
    return {
        name: str(output["value"]).lower() if output["type"] == "Bool" else str(output["value"])
        for name, output in json.loads(text).items()
        if name.startswith("RELINK_")
    }


def main(kind: str) -> int:
    try:
        if kind == "settings":
            values = settings(os.environ.get("RELINK_SETTINGS", ""))
        else:
            values = outputs(sys.stdin.read())
    except (ValueError, TypeError, LookupError) as error:
        print(f"{kind}: {error}", file=sys.stderr)
        return 1
    with Path(os.environ["GITHUB_ENV"]).open("a", encoding="utf-8") as file:
        file.write(lines(values))
    print(f"{kind}: {', '.join(values)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
