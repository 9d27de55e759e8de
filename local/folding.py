"""
Folds text to the terminal. Standard library only: what is wrong with a machine must be said on it.

No id is cut, in a sentence either: a word that does not fit where it stands gets a line of its own,
and only one that is longer than the terminal is folded.
"""

import os
import re
import sys
from collections.abc import Iterator
from typing import Final, TextIO

_FURTHER_LEFT: Final = "    "
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


def columns(stream: TextIO) -> int | None:
    """Return the width of the terminal; None where it is a pipe or a file."""
    if not stream.isatty():
        return None
    return os.get_terminal_size(stream.fileno()).columns or 80


def note(text: str) -> None:
    """Print to stderr what must be known beside the answer, or in its place."""
    width = columns(sys.stderr)
    for line in text.split("\n"):
        print(fold_after("", line, width), file=sys.stderr, flush=True)


def fold_after(head: str, text: str, width: int | None) -> str:
    """Put *text* behind *head*, folded under itself where the terminal is narrower."""
    if width is None:
        return head + text
    own = text[: len(text) - len(text.lstrip())]
    lines = [before + line for before, line in folded(head + own, text, width)]
    return "\n".join(line.rstrip() for line in lines) or head.rstrip()


def folded(head: str, text: str, width: int) -> Iterator[tuple[str, str]]:
    """
    Fold *text* behind *head* and under itself; yield what stands before each line, and the line.

    A word for which there is no room there begins a line of its own, further to the left.
    """
    before, line = head, ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if _shown(before) + len(longer) <= width:
            line = longer
            continue
        if line or before.strip():
            yield before, line
        before, line = " " * _shown(head), word
        if _shown(before) + len(word) > width:
            before = _FURTHER_LEFT if len(_FURTHER_LEFT) + len(word) <= width else ""
            *whole, line = _cut(word, width)
            yield from ((before, piece) for piece in whole)
            yield before, line
            before, line = " " * _shown(head), ""
    if line:
        yield before, line


def _cut(word: str, width: int) -> list[str]:
    return [word[n : n + width] for n in range(0, len(word), width)]


def _shown(text: str) -> int:
    """Columns that *text* takes; colours take none."""
    return len(_COLOUR.sub("", text))
