"""Implements the OData that callers use: `$filter` with `and`, `$select`, `$top`, next links."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from yarl import URL

from local.emulator.errors import GraphError

type Row = dict[str, Any]

OPTIONS = frozenset({"$filter", "$select", "$top", "$skiptoken", "$orderby"})
_CLAUSE = re.compile(
    r"\s*(?:startswith\(\s*(?P<prefixed>\w+)\s*,\s*'(?P<prefix>(?:[^']|'')*)'\s*\)"
    r"|targetResources/any\(\s*(?P<each>\w+)\s*:\s*(?P=each)/id\s+eq\s+'(?P<target>[^']*)'\s*\)"
    r"|(?P<name>\w+)\s+(?P<operator>eq|ge|gt|le|lt)\s+(?:'(?P<text>(?:[^']|'')*)'|(?P<plain>\S+)))\s*",
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ge": lambda left, right: left >= right,
    "gt": lambda left, right: left > right,
    "le": lambda left, right: left <= right,
    "lt": lambda left, right: left < right,
}


def unsupported(what: str) -> GraphError:
    return GraphError(400, "Request_UnsupportedQuery", f"Unsupported Query: {what}.")


def matches(
    expression: str | None,
    *,
    texts: frozenset[str],
    prefixes: frozenset[str] = frozenset(),
    times: frozenset[str] = frozenset(),
    targets: bool = False,
) -> Callable[[Row], bool]:
    """Compile a `$filter`; only the properties named may stand in it, others are refused."""
    tests: list[Callable[[Row], bool]] = []
    at = 0
    while expression and at < len(expression):
        if (clause := _CLAUSE.match(expression, at)) is None:
            raise unsupported(f"$filter at character {at}")
        if clause["target"] is not None and not targets:
            raise unsupported("'any' on 'targetResources'")
        tests.append(_test(clause, texts=texts, prefixes=prefixes, times=times))
        at = clause.end()
        if at < len(expression):
            if not expression.startswith("and ", at):
                raise unsupported(f"$filter at character {at}")
            at += 4
    return lambda row: all(test(row) for test in tests)


def _test(
    clause: re.Match[str],
    *,
    texts: frozenset[str],
    prefixes: frozenset[str],
    times: frozenset[str],
) -> Callable[[Row], bool]:
    if (target := clause["target"]) is not None:
        return lambda row: any(resource["id"] == target for resource in row["targetResources"])
    if (name := clause["prefixed"]) is not None:
        if name not in prefixes:
            raise unsupported(f"startswith on '{name}'")
        start = clause["prefix"].replace("''", "'").casefold()
        return lambda row: str(row[name]).casefold().startswith(start)
    name, operator = clause["name"], clause["operator"]
    if name in texts and operator == "eq" and clause["text"] is not None:
        wanted = clause["text"].replace("''", "'").casefold()
        return lambda row: str(row[name]).casefold() == wanted
    if name in times and clause["plain"] is not None:
        compare, moment = _COMPARE[operator], _moment(clause["plain"])
        return lambda row: compare(datetime.fromisoformat(row[name]), moment)
    raise unsupported(f"'{operator}' on '{name}'")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise GraphError(400, "BadRequest", f"Invalid date time literal '{text}'.") from error
    if moment.tzinfo is None:
        raise GraphError(400, "BadRequest", f"Invalid date time literal '{text}'.")
    return moment


def select(row: Row, query: Mapping[str, str]) -> Row:
    if (names := query.get("$select")) is None:
        return row
    wanted = {name.strip() for name in names.split(",")}
    if unknown := sorted(wanted - row.keys()):
        raise GraphError(400, "BadRequest", f"Could not find a property named '{unknown[0]}'.")
    return {name: value for name, value in row.items() if name in wanted}


def page(
    rows: Iterable[Row],
    url: URL,
    *,
    context: str,
    most: int,
    options: frozenset[str] = OPTIONS,
) -> Row:
    """A page of at most *most* rows, selected; with a next link while there are more."""
    for option in url.query:
        if option not in options:
            raise unsupported(option)
    size, start = min(_size(url.query.get("$top")), most), _start(url.query.get("$skiptoken"))
    window = list(rows)
    answer: Row = {
        "@odata.context": context,
        "value": [select(row, url.query) for row in window[start : start + size]],
    }
    if start + size < len(window):
        token = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        answer["@odata.nextLink"] = str(url.update_query({"$skiptoken": token}))
    return answer


def _size(top: str | None) -> int:
    if top is None:
        return 100
    if not top.isdecimal() or not 1 <= int(top) <= 999:
        raise GraphError(400, "Request_BadRequest", f"Invalid page size specified: '{top}'.")
    return int(top)


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise GraphError(400, "Request_BadRequest", "Invalid skip token.") from error
