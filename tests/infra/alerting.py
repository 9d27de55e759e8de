"""Alert rules as deployed, asked about log lines that the app itself wrote."""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import duckdb_kql

from local.bicep import INFRA

from .templates import Deployment

TABLES: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "tables.json").read_text(encoding="utf-8")
)
RELINK_EVENTS = (INFRA / "functions" / "relink-events.kql").read_text(encoding="utf-8")
"""The saved function of the workspace, which the queries call."""

_KINDS = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
}


@cache
def _sql(query: str) -> str:
    return str(duckdb_kql.to_sql(query.replace("RelinkEvents()", RELINK_EVENTS.rstrip())))


def declared(query: str) -> str:
    """The query with the function before it, as the workspace has it."""
    return f"let RelinkEvents = () {{\n{RELINK_EVENTS}}};\n{query}"


def rules(scenario: str = "default") -> dict[str, dict[str, Any]]:
    """The alert rules of the template, by the name that the runbook has too."""
    found = Deployment(scenario).of_type("Microsoft.Insights/scheduledQueryRules")
    return {r["name"].removeprefix("relink-"): r["properties"] for r in found}


@contextmanager
def written() -> Iterator[list[str]]:
    """What is logged meanwhile, line by line, as the worker would forward it."""
    lines: list[str] = []

    class Taken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    log, handler = logging.getLogger("relink"), Taken()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class Workspace:
    """Rows in the tables of Application Insights, and queries over them."""

    def __init__(self) -> None:
        self._database = duckdb.connect()
        for table, columns in TABLES.items():
            shape = ", ".join(f'"{name}" {_KINDS[kind]}' for name, kind in columns.items())
            self._database.execute(f'CREATE TABLE "{table}" ({shape})')

    def take(self, lines: list[str]) -> None:
        for line in lines:
            self._database.execute(
                'INSERT INTO "AppTraces" ("TimeGenerated", "Message", "SeverityLevel") '
                "VALUES (?, ?, 1)",
                [datetime.now(UTC), line],
            )

    def take_request(self, name: str, *, success: bool, code: str = "0") -> None:
        self._database.execute(
            'INSERT INTO "AppRequests" ("TimeGenerated", "OperationName", "Success", "ResultCode") '
            "VALUES (?, ?, ?, ?)",
            [datetime.now(UTC), name, success, code],
        )

    def take_operation(self, category: str, detail: str) -> None:
        self._database.execute(
            'INSERT INTO "_LogOperation" ("TimeGenerated", "Category", "Detail") VALUES (?, ?, ?)',
            [datetime.now(UTC), category, detail],
        )

    def ask(self, query: str) -> list[dict[str, Any]]:
        found = self._database.execute(_sql(query))
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def fired(self, rule: dict[str, Any]) -> list[tuple[Any, ...]]:
        """One tuple of dimensions an alert, as Azure Monitor would raise it."""
        (criterion,) = rule["criteria"]["allOf"]
        columns = [dimension["name"] for dimension in criterion["dimensions"]]
        series: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        measure = criterion["metricMeasureColumn"]
        for row in self.ask(criterion["query"]):
            key = tuple(row[column] for column in columns)
            series[key].append(row[measure] if measure else 1)
        compare: dict[str, Callable[[float, float], bool]] = {
            "GreaterThan": lambda a, b: a > b,
            "LessThan": lambda a, b: a < b,
        }
        is_beyond = compare[criterion["operator"]]
        return [k for k, found in series.items() if is_beyond(sum(found), criterion["threshold"])]
