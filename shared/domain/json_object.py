"""Decode JSON strictly: one object in UTF-8, no name twice, only numbers that JSON has."""

import codecs
import json
import math
import re
from typing import Any, Final

from shared.domain.errors import InvalidRequest

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def decode_object(raw: bytes, *, name: str) -> dict[str, Any]:
    """
    Return the object; raise InvalidRequest, which begins with *name*, for anything else.

    A name given twice is refused, because that is how unescaped text in a template could change
    what stands before it: of two values the last one would count.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise InvalidRequest(f"{name}: a name is given twice in one object; give it once")
        return found

    try:
        text = raw.decode()
        found = json.loads(
            text, object_pairs_hook=unique, parse_constant=_refuse, parse_float=_finite
        )
        if _SURROGATE.search(text):
            # Half a surrogate pair is valid JSON, and cannot be encoded or stored.
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InvalidRequest(f"{name}: nested too deeply; send a flat JSON object") from error
    except ValueError as error:
        raise InvalidRequest(
            f"{name}: not valid JSON in UTF-8; send one JSON object{_where(raw, error)}"
        ) from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"{name}: must be a JSON object, not {kind_of(found)}")
    return found


def is_gzip(raw: bytes) -> bool:
    return raw.startswith(b"\x1f\x8b")


def is_utf16(raw: bytes) -> bool:
    """Whether it has a mark of UTF-16, or zeros where a text in UTF-8 has none."""
    return raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in raw[:4]


_FORM: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.-]*=[^=]")


def is_form(raw: bytes) -> bool:
    """Whether it begins as `name=value` does; base64 ends in `=`, or `==`."""
    return _FORM.match(raw) is not None


def _where(raw: bytes, error: ValueError) -> str:
    """Where it ends to be JSON and what is often the cause; never anything of the text itself."""
    if is_gzip(raw):
        return " (this is compressed: gzip)"
    if is_utf16(raw):
        return " (this is UTF-16)"
    if not isinstance(error, json.JSONDecodeError):
        return ""
    if why := next((why for sign, why in _NOT_JSON if sign.match(raw)), ""):
        return f" ({why})"
    here = f" (character {error.pos + 1}"
    if error.doc[error.pos : error.pos + 1] == "'":
        return (
            f"{here}: names and texts stand in double quotation marks; Python's str() is no JSON)"
        )
    if error.msg.startswith("Invalid control character"):
        return f"{here}: a line break or tab in a text must be escaped)"
    if error.msg.startswith("Expecting ',' delimiter"):
        return f"{here}: a quotation mark in a text must be escaped)"
    if error.msg.startswith("Expecting value"):
        return f"{here}: a text stands between quotation marks)"
    if error.msg.startswith("Extra data"):
        return f"{here}: more follows the object)"
    return f"{here})"


_NOT_JSON: Final = (
    (re.compile(rb"\s*$"), "it is empty"),
    (re.compile(rb"\s*<"), "this is XML or HTML"),
    (_FORM, "this is a form"),
)


def kind_of(value: Any) -> str:
    """Name the type of a value in JSON's words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number
