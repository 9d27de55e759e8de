"""JSON in which one name is given twice, somewhere, in whatever spelling."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.support.mutants import EACH


def twins(event: dict[str, Any], random: Random) -> Iterator[bytes]:
    """Yield *event* with one of its properties a second time: same value, another, an object."""
    for _ in range(EACH):
        yield _twin(event, random)


def _twin(event: dict[str, Any], random: Random) -> bytes:
    place = random.choice(list(_objects(event)))
    at: Any = event
    for key in place:
        at = at[key]
    name = random.choice(sorted(at))
    nested: Any = 1
    for _ in range(random.randint(1, 3)):
        nested = [nested] * random.randint(1, 2)
    value = random.choice([at[name], "aws", "salesforce-prod", "", None, 7, True, [], {}, nested])
    # One byte order mark is what some systems send.
    return (
        random.choice([b"", b"\xef\xbb\xbf"]) + _written(random, event, place, name, value).encode()
    )


def _objects(value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all objects that have a property."""
    if isinstance(value, dict):
        if value:
            yield so_far
        for key, inner in value.items():
            yield from _objects(inner, (*so_far, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _objects(inner, (*so_far, index))


def _written(
    random: Random, value: Any, place: tuple[Any, ...] | None, name: str, twin: Any
) -> str:
    if isinstance(value, dict):
        parts = []
        for key, inner in value.items():
            inside = place[1:] if place and place[0] == key else None
            parts.append(f"{_spelled(random, key)}:{_written(random, inner, inside, name, twin)}")
        if place == ():
            part = f"{_spelled(random, name)}{_space(random)}:{_space(random)}{json.dumps(twin)}"
            parts.insert(random.randint(0, len(parts)), part)
        return "{" + _space(random) + f",{_space(random)}".join(parts) + "}"
    if isinstance(value, list):
        inner_parts = [
            _written(random, inner, place[1:] if place and place[0] == n else None, name, twin)
            for n, inner in enumerate(value)
        ]
        return "[" + ",".join(inner_parts) + "]"
    return json.dumps(value)


def _space(random: Random) -> str:
    return random.choice(["", " ", "\n", "\t\r"])


def _spelled(random: Random, name: str) -> str:
    """The name as JSON, one of its characters perhaps as an escape: it is the same name."""
    escaped = random.randint(-1, len(name) - 1)
    written = [
        f"\\u{ord(c):04x}" if n == escaped else json.dumps(c)[1:-1] for n, c in enumerate(name)
    ]
    return '"' + "".join(written) + '"'
