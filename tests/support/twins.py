"""JSON in which one name is given twice, somewhere, in whatever spelling."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

_SPACE = st.sampled_from(["", " ", "\n", "\t\r"])


@st.composite
def twins(draw: st.DrawFn, event: dict[str, Any]) -> bytes:
    """*event* with one of its properties a second time: the same value, another, or an object."""
    places = list(_objects(event))
    place = draw(st.sampled_from(places))
    at: Any = event
    for key in place:
        at = at[key]
    name = draw(st.sampled_from(sorted(at)))
    value: Any = draw(
        st.just(at[name])
        | st.sampled_from(["aws", "salesforce-prod", "", None, 7, True, [], {}])
        | st.recursive(st.just(1), lambda inner: st.lists(inner, min_size=1), max_leaves=3)
    )
    text = _written(draw, event, place, name, value)
    # One byte order mark is what some systems send.
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


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
    draw: st.DrawFn, value: Any, place: tuple[Any, ...] | None, name: str, twin: Any
) -> str:
    if isinstance(value, dict):
        parts = []
        for key, inner in value.items():
            inside = place[1:] if place and place[0] == key else None
            parts.append(f"{_spelled(draw, key)}:{_written(draw, inner, inside, name, twin)}")
        if place == ():
            part = f"{_spelled(draw, name)}{draw(_SPACE)}:{draw(_SPACE)}{json.dumps(twin)}"
            parts.insert(draw(st.integers(0, len(parts))), part)
        return "{" + draw(_SPACE) + f",{draw(_SPACE)}".join(parts) + "}"
    if isinstance(value, list):
        inner_parts = [
            _written(draw, inner, place[1:] if place and place[0] == n else None, name, twin)
            for n, inner in enumerate(value)
        ]
        return "[" + ",".join(inner_parts) + "]"
    return json.dumps(value)


def _spelled(draw: st.DrawFn, name: str) -> str:
    """The name as JSON, some of its characters as escapes: it is the same name."""
    escaped = draw(st.integers(-1, len(name) - 1))
    written = [
        f"\\u{ord(c):04x}" if n == escaped else json.dumps(c)[1:-1] for n, c in enumerate(name)
    ]
    return '"' + "".join(written) + '"'
