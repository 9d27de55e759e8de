"""Parses `$filter` with `and`, `or`, `contains` and paths, as the provisioning logs need it."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from local.emulator.errors import GraphError
from local.emulator.odata import Row, unsupported

type Test = Callable[[Row], bool]

_TOKEN = re.compile(r"\s*(?:(?P<punctuation>[(),])|'(?P<text>(?:[^']|'')*)'|(?P<word>[^\s(),']+))")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "gt": lambda left, right: left > right,
    "lt": lambda left, right: left < right,
}


class Filter:
    """
    A compiled expression; texts are compared case-sensitively.

    Only the paths in *texts* (`eq`, `contains`) and *times* (`eq`, `gt`, `lt`) may stand in it.
    """

    def __init__(self, expression: str, *, texts: frozenset[str], times: frozenset[str]) -> None:
        self._texts, self._times = texts, times
        self._tokens: list[tuple[str, str]] = []
        at, end = 0, len(expression.rstrip())
        while at < end:
            if (found := _TOKEN.match(expression, at)) is None:
                raise unsupported(f"$filter at character {at}")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found[kind]))
            at = found.end()
        self._tokens.reverse()
        self.accepts = self._either()
        if self._tokens:
            raise unsupported(f"$filter at {self._tokens[-1][1]!r}")

    def _either(self) -> Test:
        tests = [self._all()]
        while self._takes("word", "or"):
            tests.append(self._all())
        return lambda row: any(test(row) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._takes("word", "and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self._takes("punctuation", "("):
            test = self._either()
            self._must("punctuation", ")")
            return test
        word = self._must("word")
        return self._contains() if word == "contains" else self._comparison(word)

    def _contains(self) -> Test:
        self._must("punctuation", "(")
        path, folds = self._must("word"), False
        if path == "tolower":
            folds = True
            self._must("punctuation", "(")
            path = self._must("word")
            self._must("punctuation", ")")
        self._must("punctuation", ",")
        wanted = self._must("text").replace("''", "'")
        self._must("punctuation", ")")
        if path not in self._texts:
            raise unsupported(f"contains on '{path}'")
        return lambda row: wanted in (_at(row, path).lower() if folds else _at(row, path))

    def _comparison(self, path: str) -> Test:
        operator = self._must("word")
        if path in self._texts and operator == "eq":
            wanted = self._must("text").replace("''", "'")
            return lambda row: _at(row, path) == wanted
        if path in self._times and operator in _COMPARE:
            compare, moment = _COMPARE[operator], _moment(self._must("word"))
            return lambda row: compare(datetime.fromisoformat(_at(row, path)), moment)
        raise unsupported(f"'{operator}' on '{path}'")

    def _takes(self, kind: str, value: str) -> bool:
        if self._tokens and self._tokens[-1] == (kind, value):
            self._tokens.pop()
            return True
        return False

    def _must(self, kind: str, value: str | None = None) -> str:
        if not self._tokens or self._tokens[-1][0] != kind:
            raise unsupported("$filter, which breaks off or is out of order")
        found = self._tokens.pop()[1]
        if value is not None and found != value:
            raise unsupported(f"$filter at {found!r}")
        return found


def _at(row: Row, path: str) -> str:
    value: Any = row
    for name in path.split("/"):
        value = value[name]
    return str(value)


def _moment(text: str) -> datetime:
    """A date alone is allowed here: Microsoft's own query has one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise GraphError(400, "BadRequest", f"Invalid date time literal '{text}'.") from error
    if moment.tzinfo is None and "T" in text:
        raise GraphError(400, "BadRequest", f"Invalid date time literal '{text}'.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
