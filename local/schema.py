"""`make schema`: write the published JSON Schema of a reset request."""

import json
from pathlib import Path

from shared.requests import json_schema

PUBLISHED = Path(__file__).resolve().parent.parent / "docs" / "reset-request.schema.json"


def text() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PUBLISHED.write_text(text(), encoding="utf-8")
    print(f"wrote {PUBLISHED.name}")
