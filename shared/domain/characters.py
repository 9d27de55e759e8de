"""Refuse text that does not show what it holds."""

import unicodedata
from typing import Final

_LINES: Final = frozenset("\n\r\t")

# Of letters, marks and symbols, those without a shape (Default_Ignorable_Code_Point, and a blank).
_BLANK: Final = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xE0100, 0xE01F0),
        ),
    )
)

# They choose how the character before them looks: without it they are invisible.
_VARIATIONS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))

# Letters of other scripts that look like those of the app's own names.
_LOOKS_LIKE: Final = str.maketrans(
    {
        **dict.fromkeys("\u0430\u03b1\u0251", "a"),
        **dict.fromkeys("\u0501", "d"),
        **dict.fromkeys("\u0435\u0451\u212e", "e"),
        **dict.fromkeys("\u0456\u03b9\u0131\u0269", "i"),
        **dict.fromkeys("\u043a\u03ba\u1d0b", "k"),
        **dict.fromkeys("\u04cf\u0627\u2223|1", "l"),
        **dict.fromkeys("\u043c\u1d0d", "m"),
        **dict.fromkeys("\u043f\u0578\u0274\u03b7", "n"),
        **dict.fromkeys("\u0433\u1d26\u0280", "r"),
        **dict.fromkeys("\u0442\u03c4\u1d1b", "t"),
    }
)


def is_hidden(character: str) -> bool:
    """
    True for a character without a shape of its own.

    Control characters, zero-width and bidirectional marks (Cf), surrogates, private and unassigned
    code points (among them what XML does not allow), line and paragraph separators: with them two
    texts look alike that are not, or a text looks like something else.
    """
    category = unicodedata.category(character)
    return category.startswith("C") or category in {"Zl", "Zp"} or character in _BLANK


def hidden_in(text: str, *, lines: bool = False) -> str:
    """
    Name the first hidden character, like `U+200B`, or return "".

    *lines* is for prose: it may have line breaks, and emoji, many of which end in a variation.
    """
    if text.isascii() and text.isprintable():
        return ""
    allowed, more = (_LINES, frozenset[str]()) if lines else (frozenset[str](), _VARIATIONS)
    found = (each for each in text if (is_hidden(each) or each in more) and each not in allowed)
    first = next(found, "")
    return f"U+{ord(first):04X}" if first else ""


def without_hidden(text: str) -> str:
    """The text without such characters, for prose that a person wrote in another system."""
    return "".join(each for each in text if each in _LINES or not is_hidden(each))


def in_plain_letters(text: str) -> str:
    """
    Return the letters and digits of *text* as a reader would take them.

    Without case, width, accents and what stands between them; some letters of other scripts as the
    Latin ones that they look like.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(each for each in folded.translate(_LOOKS_LIKE) if each.isalnum())
