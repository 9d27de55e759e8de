"""What the documentation says of the code is what the code says."""

import ast
import json
import logging
import re
from datetime import timedelta

import msgspec
import pytest

from local.documents import DOCS, STATES, states
from shared.domain.catalogue import Remediate
from shared.domain.policy import FLEET_LEAST, FLEET_PERCENT
from shared.domain.quarantine import QUARANTINE_RULES, UNKNOWN, Treatment
from shared.domain.remediation import LOGS_REACH_BACK
from shared.domain.reset import ON_THE_WIRE, Scope, State
from shared.telemetry import EVENTS, emit
from shared.use_cases.remediate import LOGS_A_RUN

ROOT = DOCS.parent


def test_the_diagram_is_the_state_machine() -> None:
    text = STATES.read_text(encoding="utf-8")

    assert states(text) == text
    assert all(f"`{state}`" in text for state in State)


def test_the_list_of_events_is_the_documented_one() -> None:
    text = (DOCS / "operate" / "events.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([A-Z]+) \|", text, re.MULTILINE)

    assert {name: logging.getLevelName(level) for name, level in EVENTS.items()} == dict(rows)


def test_every_event_that_is_logged_is_in_the_list() -> None:
    named = set()
    for path in (ROOT / "shared").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "emit":
                first = call.args[0]
                if isinstance(first, ast.Constant):
                    named.add(first.value)
    computed = {f"reset.{state}" for state in State} | {"reset.fate_asked"}

    assert named <= set(EVENTS)
    assert set(EVENTS) <= named | computed


def test_an_event_that_is_not_in_the_list_is_a_defect() -> None:
    with pytest.raises(KeyError):
        emit("reset.exploded")


def test_entry_points_hold_no_logic() -> None:
    tree = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8"))
    logic = (ast.If, ast.Try, ast.For, ast.While, ast.Match, ast.Raise)
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    assert imported == {
        "shared.bootstrap",
        "shared.names",
        "shared.web.messages",
        "shared.web.respond",
    }


def test_every_setting_is_documented() -> None:
    text = (DOCS / "use" / "settings.md").read_text(encoding="utf-8")
    code = (ROOT / "shared" / "config.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"([A-Z][A-Z]+_[A-Z_]+)"', code))

    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_matrix_of_reasons_is_the_documented_one() -> None:
    text = (DOCS / "operate" / "remediation.md").read_text(encoding="utf-8")
    verdicts = "|".join(Treatment)
    cells = rf"^\| (\S.*?) \| ({verdicts}) \| ({verdicts}) \| (.+) \|$"
    rows = re.findall(cells, text, re.MULTILINE)
    lines = {f"`{reason}`": line for reason, line in QUARANTINE_RULES.items()} | {
        "any other": UNKNOWN
    }

    assert rows == [(name, line.automatic, line.person, line.why) for name, line in lines.items()]


def test_the_figures_of_remediation_are_the_documented_ones() -> None:
    text = (DOCS / "operate" / "remediation.md").read_text(encoding="utf-8")
    default = Remediate()
    settings = (DOCS / "use" / "settings.md").read_text(encoding="utf-8")

    assert f"more than {FLEET_PERCENT} % of the targets seen, and at least {FLEET_LEAST}," in text
    assert f"at most {LOGS_A_RUN} targets" in text
    assert f"in the last {LOGS_REACH_BACK.days} days" in text
    assert ON_THE_WIRE[Scope.QUARANTINE] in text
    shown = re.search(r"\| `remediate.after` \| `(\w+)` \|", settings)
    assert shown is not None
    assert msgspec.convert(shown[1], timedelta) == default.after
    assert f"| `remediate.reasons` | `{json.dumps(default.reasons)}` |" in settings
