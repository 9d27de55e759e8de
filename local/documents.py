"""
Write what the documentation takes from the code: `make docs`.

Whole files (the schemas), the state diagram, and the tables between `<!-- make docs: NAME -->` and
`<!-- end -->`. Of such a table the code gives the rows and some columns; people write the others,
and what they wrote is kept.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Final, get_args

import msgspec
from msgspec import Struct

from local.answers import page
from local.asyncapi import asyncapi_text
from local.swagger import swagger_text
from local.wait_table import waits
from shared.config import Settings
from shared.domain.catalogue import Target
from shared.domain.quarantine import QUARANTINE_RULES, UNKNOWN
from shared.domain.requests import json_schema
from shared.domain.reset import State
from shared.domain.states import ALLOWED
from shared.telemetry import EVENTS
from shared.web.openapi import openapi_text

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
SCHEMA: Final = DOCS / "use" / "reset-request.schema.json"
OPENAPI: Final = DOCS / "use" / "openapi.json"
SWAGGER: Final = DOCS / "use" / "swagger.json"
ASYNCAPI: Final = DOCS / "use" / "asyncapi.json"
ANSWERS: Final = DOCS / "use" / "answers.md"
STATES: Final = DOCS / "design" / "states.md"
SETTINGS: Final = DOCS / "use" / "settings.md"
EVENT_LIST: Final = DOCS / "operate" / "events.md"
REMEDIATION: Final = DOCS / "operate" / "remediation.md"

_DIAGRAM: Final = re.compile(r"```mermaid\nstateDiagram-v2\n.*?```", re.DOTALL)

Rows = Mapping[str, Sequence[str | None]]
"""First cell, then the others; None stands for a cell that people write."""


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
    """Return *text* with the current diagram."""
    return _DIAGRAM.sub(lambda _: diagram(), text)


class _Recorder(Mapping[str, str]):
    """An environment that remembers which names were read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.read: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        self.read[name] = None
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("settings are read by name")

    def __len__(self) -> int:
        return len(self._values)


def settings() -> Rows:
    """Every setting that `Settings` reads, with its default."""
    by_identity = {
        "ResetStorage__queueServiceUri": "https://account.queue.core.windows.net",
        "ResetStorage__tableServiceUri": "https://account.table.core.windows.net",
    }
    environments = [_Recorder({}), _Recorder(by_identity)]
    for environ in environments:
        Settings.from_environ(environ, app_dir=DOCS)
    names = dict.fromkeys(name for environ in environments for name in environ.read)
    return {f"`{name}`": (_cell(_default(name)), None) for name in names}


def _default(name: str) -> object:
    usual = Settings()
    short = name.removeprefix("RESETS_").removeprefix("RESET_")
    fields = (name.lower(), short.lower())
    return next((getattr(usual, field) for field in fields if hasattr(usual, field)), None)


def catalogue(struct: type[Struct] = Target, prefix: str = "") -> Rows:
    """Every property of an entry of RESET_TARGETS, with its default."""
    rows: dict[str, Sequence[str | None]] = {}
    for field in msgspec.structs.fields(struct):
        name = prefix + field.encode_name
        rows[f"`{name}`"] = ("required" if field.required else _cell(field.default), None)
        parts = get_args(field.type) if isinstance(field.type, UnionType) else ()
        for part in parts:
            if isinstance(part, type) and issubclass(part, Struct):
                rows |= catalogue(part, f"{name}.")
    return rows


def quarantine_rules() -> Rows:
    """What is done about each reason of a quarantine."""
    rules = {f"`{reason}`": rule for reason, rule in QUARANTINE_RULES.items()}
    return {
        name: (rule.automatic, rule.person, rule.why)
        for name, rule in {**rules, "any other": UNKNOWN}.items()
    }


def events() -> Rows:
    """Every log event with its level."""
    return {
        f"`{name}`": (logging.getLevelName(level), None, None) for name, level in EVENTS.items()
    }


def _cell(value: object) -> str:
    """A default as people write it; empty where there is none."""
    match value:
        case None | "" | Mapping():
            return ""
        case StrEnum():
            return f"`{value.value}`"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{_duration(value)}`"
        case tuple():
            return f"`{json.dumps(value)}`"
        case _:
            return f"`{value}`"


def _duration(span: timedelta) -> str:
    minutes, seconds = divmod(span.seconds, 60)
    parts = {"H": minutes // 60, "M": minutes % 60, "S": seconds}
    time = "".join(f"{number}{unit}" for unit, number in parts.items() if number)
    return "P" + (f"{span.days}D" if span.days else "") + (f"T{time}" if time else "")


def _block(name: str) -> re.Pattern[str]:
    head = rf"<!-- make docs: {re.escape(name)} -->\n(?:\|.*\n){{2}}"
    return re.compile(rf"(?P<head>{head})(?P<rows>(?:\|.*\n)*)(?=<!-- end -->)")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def table(text: str, name: str, rows: Rows) -> str:
    """Return *text* with the rows of this table; raise ValueError where it is not there."""
    found = _block(name).search(text)
    if found is None:
        raise ValueError(f"no table <!-- make docs: {name} -->; put the marker before its head")
    kept = {cells[0]: cells[1:] for cells in map(_cells, found["rows"].splitlines())}
    lines = []
    for key, cells in rows.items():
        written = kept.get(key, [""] * len(cells))
        merged = [new if new is not None else old for new, old in zip(cells, written, strict=True)]
        lines.append(f"| {' | '.join([key, *merged])} |\n".replace("|  |", "| |"))
    return text[: found.start("rows")] + "".join(lines) + text[found.end("rows") :]


def undescribed(text: str) -> list[str]:
    """The rows of generated tables whose last cell, which people write, is still empty."""
    blocks = re.findall(r"<!-- make docs: .* -->\n(?:\|.*\n){2}((?:\|.*\n)*)<!-- end -->", text)
    rows = [_cells(line) for block in blocks for line in block.splitlines()]
    return [row[0] for row in rows if not row[-1]]


def documents() -> dict[Path, str]:
    """Every file that takes something from the code, as it should be."""
    listed = SETTINGS.read_text(encoding="utf-8")
    return {
        SCHEMA: schema(),
        OPENAPI: openapi_text(),
        SWAGGER: swagger_text(),
        ASYNCAPI: asyncapi_text(),
        ANSWERS: page(),
        STATES: table(states(STATES.read_text(encoding="utf-8")), "waits", waits()),
        SETTINGS: table(table(listed, "settings", settings()), "catalogue", catalogue()),
        EVENT_LIST: table(EVENT_LIST.read_text(encoding="utf-8"), "events", events()),
        REMEDIATION: table(
            REMEDIATION.read_text(encoding="utf-8"), "quarantine rules", quarantine_rules()
        ),
    }


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")
        for name in undescribed(text):
            print(f"  {name}: describe it there, in the last column")
