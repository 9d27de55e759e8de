"""Declares what ends a command with one line."""

from collections.abc import Mapping


class Usage(Exception):
    """The command line is wrong: nothing was done; exit code 2."""


class Failed(Exception):
    """The command could not do what it was told, or what it watched ended badly; exit code 1."""


def whole_number(environ: Mapping[str, str], name: str, usual: int) -> int:
    """Read a number above 0 from a variable; end the program in one line where it is none."""
    given = environ.get(name) or str(usual)
    if not (given.isascii() and given.isdecimal() and int(given) > 0):
        raise SystemExit(f"{name}: {given!r} is not a whole number above 0; correct it")
    return int(given)
