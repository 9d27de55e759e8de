"""Turn msgspec's errors into ours: the field, what is wrong with it, the remedy."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

_KINDS: Final = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "object": "a JSON object",
    "array": "a list",
    "null": "null",
}
_EXPECTED: Final = _KINDS | {
    "array": "a list of strings",
    "object | null": "a JSON object",
    "datetime": "a date and time with an offset, like 2026-12-01T20:00:00Z",
    "datetime | null": "a date and time with an offset, like 2026-12-01T20:00:00Z",
}
_ALIKE: Final = 0.75
"""How alike two names must be to ask "did you mean"; `difflib` gives 1 for equal ones."""


class Wording(Struct, frozen=True, kw_only=True):
    """
    The words for one message definition.

    *names* has the known properties by the path of their object (`""` is the message itself),
    *patterns* a remedy for each regular expression, *choices* one for each field of an enumeration.
    """

    names: Mapping[str, Sequence[str]]
    patterns: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    whole: str = "request"

    def describe(self, complaint: str) -> str:
        """
        Turn msgspec's complaint round.

        A complaint in words that this does not know, say of a later msgspec, is passed on as it is.
        """
        what, _, where = complaint.partition(" - at `")
        path = where.removesuffix("`").removeprefix("$").removeprefix(".")
        name = path or self.whole
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
            return self._unknown(path, unknown[1][:64])
        if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
            return f"{_inside(path, missing[1])}: missing; it is required"
        if pattern := re.fullmatch(r"Expected `str` matching regex (.*)", what, re.DOTALL):
            given = pattern[1].replace("\\\\", "\\")
            for known, words in self.patterns.items():
                if known in given:
                    return f"{name}: {words}"
        if what.startswith("Invalid enum value"):
            return f"{name}: {self.choices.get(path, 'is not one of the values allowed')}"
        if longest := re.fullmatch(r"Expected `(str|array)` of length <= (\d+)", what):
            things = "characters" if longest[1] == "str" else "entries"
            return f"{name}: too long; at most {int(longest[2]):,} {things} are taken"
        if re.fullmatch(r"Expected `(?:str|array)` of length >= \d+", what):
            return f"{name}: empty; give a value or leave it out"
        if typed := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
            return self._kind(name, typed[1], typed[2])
        if "datetime" in what or "timezone" in what or "RFC3339" in what:
            return f"{name}: must be {_EXPECTED['datetime']}"
        return f"{name}: {what[:200]}"

    def _unknown(self, path: str, unknown: str) -> str:
        known = self.names.get(path, ())
        here = _inside(path, unknown)
        if near := nearest(unknown, known):
            return f"{here}: unknown property; did you mean {_inside(path, near)}?"
        return f"{here}: unknown property; remove it, known are {', '.join(known)}"

    def _kind(self, name: str, expected: str, got: str) -> str:
        wanted, given = _EXPECTED.get(expected, expected), _KINDS.get(got, got)
        if expected == "bool" and got == "str":
            given += "; write it without quotation marks"
        if expected == "str" and got in {"int", "float"}:
            given += "; put it between quotation marks"
        return f"{name}: must be {wanted}, not {given}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that *name* was probably meant to be: another case, a slip; or ""."""
    by_letters = {_letters(each): each for each in known}
    if same := by_letters.get(_letters(name)):
        return same
    near = difflib.get_close_matches(_letters(name), by_letters, n=1, cutoff=_ALIKE)
    return by_letters[near[0]] if near else ""


def _letters(name: str) -> str:
    return re.sub(r"[_\s-]", "", name).casefold()


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
