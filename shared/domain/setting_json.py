"""Read settings that are JSON objects of named entries; no message holds anything of a value."""

import re
from typing import Final

import msgspec

from shared.domain.errors import InvalidRequest, SettingsError
from shared.domain.json_object import decode_object
from shared.domain.requests import ALIAS

# A property that was mistyped, or an enumeration's word. Where a name and a secret were swapped,
# the secret stands there: it is longer, or has digits.
_MISTYPED: Final = re.compile(r"[A-Za-z]{1,24}")
_QUOTED: Final = re.compile(
    r"(Object contains unknown field|Invalid enum value) [`'](.*)[`']", re.DOTALL
)


def decode_entries[T](
    setting: str, text: str, kind: type[T], *, example: str, secret: bool = False
) -> dict[str, T]:
    """
    Return the entries by name; raise SettingsError that says which entry is wrong, and the remedy.

    A name that is given twice is refused, at any depth: of two entries the last one would count.
    In a *secret* setting an entry is told by its number: its name may be a secret by mistake.
    """
    try:
        found = decode_object(text.encode("utf-8", "surrogatepass"), name=setting)
    except InvalidRequest as error:
        raise SettingsError(f"{error}; give {example}") from error
    entries: dict[str, T] = {}
    for n, (name, value) in enumerate(found.items(), 1):
        if not ALIAS.fullmatch(name):
            raise SettingsError(
                f"{setting}: the name of entry {n} is not allowed; use 1 to 63 of a-z 0-9 -"
            )
        entries[name] = _entry(setting, "" if secret else name, n, value, kind)
    return entries


def _entry[T](setting: str, name: str, n: int, value: object, kind: type[T]) -> T:
    """An empty *name* is not to be shown, and neither is anything else of the entry."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # The error itself may hold a secret: it is not chained.
        why = _without_values(str(error), secret=not name)
    names: tuple[str, ...] = getattr(kind, "__struct_encode_fields__", ())
    may = f"; an entry may hold {', '.join(names)}" if names else ""
    raise SettingsError(f"{setting}: {why}, in entry {name or n}{may}; correct that entry")


def _without_values(complaint: str, *, secret: bool) -> str:
    what, at, where = complaint.partition(" - at `")
    quoted = _QUOTED.fullmatch(what)
    if quoted and (secret or not _MISTYPED.fullmatch(quoted[2])):
        what = quoted[1]
    # The keys of a mapping, which may be anything, stand in a path as [...].
    return f"{what}{at}{where}"
