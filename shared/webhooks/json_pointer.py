"""JSON Pointer: https://www.rfc-editor.org/rfc/rfc6901. Pure."""

import re
from typing import Any, Final

_ESCAPES: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def check_pointer(pointer: str) -> str:
    """What is wrong with it; empty where nothing is."""
    if not pointer.startswith("/"):
        return "is no JSON Pointer; start it with /"
    if not pointer.isprintable():
        return "has characters that cannot be printed"
    if _ESCAPES.search(pointer):
        return "has a ~ that is neither ~0 (a tilde) nor ~1 (a slash)"
    return ""


def look_up(document: Any, pointer: str) -> Any:
    """The value there; None where there is none."""
    found = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and _INDEX.fullmatch(key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found
