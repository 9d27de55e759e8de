"""Refuse text that does not show what it holds."""

import unicodedata
from typing import Final

_LINES: Final = frozenset("\n\r\t")


def is_hidden(character: str) -> bool:
    """
    True for a character without a shape of its own.

    Control characters, zero-width and bidirectional marks (Cf), surrogates, private and unassigned
    code points (among them what XML does not allow), line and paragraph separators: with them two
    texts look alike that are not, or a text looks like something else.
    """
    category = unicodedata.category(character)
    return category.startswith("C") or category in {"Zl", "Zp"}


def hidden_in(text: str, *, lines: bool = False) -> str:
    """Name the first hidden character, like `U+200B`, or return ""; *lines* allows line breaks."""
    if text.isascii() and text.isprintable():
        return ""
    allowed = _LINES if lines else frozenset()
    found = (each for each in text if is_hidden(each) and each not in allowed)
    first = next(found, "")
    return f"U+{ord(first):04X}" if first else ""


def without_hidden(text: str) -> str:
    """The text without such characters, for prose that a person wrote in another system."""
    return "".join(each for each in text if each in _LINES or not is_hidden(each))
