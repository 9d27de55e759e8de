"""Merges the body of `PUT /_emulator/state` into the state: only what it names changes."""

from typing import Any

# Maps from one id to another value, in which null takes an entry out.
_MAPS = frozenset({"links", "escrows", "attributes"})


def merge(old: Any, new: Any, *, name: str = "") -> Any:
    """
    Merge objects key by key, and lists of objects with an `id` by that id.

    Anything else is replaced, null included.
    """
    match old, new:
        case dict(), dict():
            merged = dict(old)
            for key, value in new.items():
                if name in _MAPS and value is None:
                    merged.pop(key, None)
                else:
                    merged[key] = merge(old.get(key), value, name=key)
            return merged
        case list(), list() if _all_have_ids(old) and _all_have_ids(new):
            by_id = {item["id"]: item for item in old}
            for item in new:
                by_id[item["id"]] = merge(by_id.get(item["id"]), item)
            return list(by_id.values())
        case _:
            return new


def _all_have_ids(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) and "id" in item for item in items)
