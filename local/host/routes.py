"""Matches HTTP routes: ASP.NET templates, as function.json and `@app.route` take them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from local.host.errors import StartError
from local.host.worker import Function

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")

_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)(?::([^{}?]+))?(\?)?\}")
_CONSTRAINTS: Final = {
    "alpha": "[A-Za-z]+",
    "bool": "(?i:true|false)",
    "decimal": r"-?\d+(?:\.\d+)?",
    "double": r"-?\d+(?:\.\d+)?",
    "float": r"-?\d+(?:\.\d+)?",
    "guid": "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "int": r"-?\d+",
    "long": r"-?\d+",
}

# Which of two matching routes wins, part by part: the more particular one.
_LITERAL, _CONSTRAINED, _FREE, _REST = range(4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    function: Function
    template: str
    methods: tuple[str, ...]
    pattern: re.Pattern[str]
    rank: tuple[int, ...]

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The route's values; an optional one that is not there is left out."""
        found = self.pattern.fullmatch(raw_path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items() if value}


class RouteTable:
    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: route.rank))

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        for route in self.routes:
            values = route.match(raw_path) if method in route.methods else None
            if values is not None:
                return route, values
        return None

    def methods_at(self, raw_path: str) -> frozenset[str]:
        matching = (route for route in self.routes if route.match(raw_path) is not None)
        return frozenset(method for route in matching for method in route.methods)


def make_route(function: Function, template: str, prefix: str, methods: Iterable[str]) -> Route:
    template = template.strip("/")
    if template.split("/")[0].lower() == "admin" and not prefix:
        raise StartError(f"{function.name}: the route 'admin' is the host's own; choose another")
    full = "/".join(part for part in (prefix, template) if part)
    pattern, rank = "", []
    for part in full.split("/"):
        text, kind = _part(function, part)
        pattern += text
        rank.append(kind)
    return Route(
        function=function,
        template=full,
        methods=tuple(method.upper() for method in methods) or METHODS,
        pattern=re.compile(f"(?i:{pattern}/?)"),
        rank=tuple(rank),
    )


def _part(function: Function, part: str) -> tuple[str, int]:
    found = _PARAMETER.fullmatch(part)
    if found is None:
        # A literal, or parameters with something around them, as in v{version}.
        pieces = _PARAMETER.split(part)
        text = re.escape(pieces[0])
        for index in range(1, len(pieces), 5):
            value, _ = _value(function, pieces[index + 2])
            text += f"(?P<{pieces[index + 1]}>{value})" + re.escape(pieces[index + 4])
        return f"/{text}", _LITERAL if len(pieces) == 1 else _CONSTRAINED
    star, name, constraint, optional = found.groups()
    if star:
        return f"(?:/(?P<{name}>.*))?", _REST
    value, kind = _value(function, constraint)
    return f"(?:/(?P<{name}>{value}))" + ("?" if optional else ""), kind


def _value(function: Function, constraint: str | None) -> tuple[str, int]:
    if not constraint:
        return "[^/]+", _FREE
    if constraint not in _CONSTRAINTS:
        known = ", ".join(sorted(_CONSTRAINTS))
        raise StartError(
            f"{function.name}: the route constraint '{constraint}' is unknown to this host; "
            f"use one of {known}"
        )
    return _CONSTRAINTS[constraint], _CONSTRAINED
