"""
Shows rows: cards in a narrow terminal, a folded table in a wide one, plain columns in a pipe.

Nothing is wider than the terminal, and no id is cut, in a sentence either: a word that does not fit
beside its label gets a line of its own. Only one that is longer than the terminal is folded.
"""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.folding import columns, folded

CARDS_UNDER: Final = 120
_LEAST: Final = 12
"""Columns of text narrower than this are not read; then cards are shown."""

_GAP: Final = 2

_STYLES: Final = {
    "completed": "green",
    "previewed": "green",
    "joined": "green",
    "restarted": "cyan",
    "sending": "cyan",
    "accepted": "cyan",
    "waiting": "yellow",
    "awaiting_approval": "magenta",
    "unknown": "magenta",
    "cancelled": "dim",
    "failed": "red",
    "refused": "red",
    "rejected": "red",
    "expired": "red",
    "Active": "green",
    "Paused": "yellow",
    "Quarantine": "red",
    "be sent": "green",
    "wait": "yellow",
    "ask a person": "magenta",
    "be refused": "red",
    "cannot be read": "red",
}


def style_of(word: str) -> str:
    """Return the colour of a state, which always stands beside the word."""
    return next((s for known, s in _STYLES.items() if word.startswith(known)), "")


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Where output goes; a *width* of None is a pipe or a file."""

    width: int | None
    colour: bool = False
    wide: bool = False

    @classmethod
    def of_stdout(cls, *, wide: bool = False) -> "Screen":
        width = columns(sys.stdout)
        if width is None:
            return cls(width=None, wide=wide)
        return cls(width=width, colour="NO_COLOR" not in os.environ, wide=wide)

    def painted(self, text: str, style: str) -> str:
        """Return *text* in a colour where the terminal has some."""
        if not (self.colour and style):
            return text
        with io.StringIO() as file:
            self._console(file).print(Text(text, style=style), end="", soft_wrap=True)
            return file.getvalue()

    def _console(self, file: io.StringIO) -> Console:
        return Console(
            file=file,
            width=self.width or 10_000,
            force_terminal=self.colour,
            color_system="standard" if self.colour else None,
            highlight=False,
            legacy_windows=False,
        )


@dataclass(frozen=True, kw_only=True)
class Records:
    """
    Rows under a header; a row without a first cell goes on with the record before it.

    *ids* are the columns that are copied out of the output, *states* those with a colour.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    ids: frozenset[str] = field(default_factory=frozenset)
    states: frozenset[str] = field(default_factory=frozenset)

    def shown(self, screen: Screen) -> str:
        """Lay the rows out for *screen*, without a line break at the end."""
        if screen.width is None or screen.wide:
            return self.plain()
        widths = None if screen.width < CARDS_UNDER else self._widths(screen.width)
        if widths is None:
            return "\n".join(self._cards(screen, screen.width))
        return self._table(screen, widths)

    def card(self, screen: Screen) -> str:
        """Show one record as a card on every screen, and in a pipe as well."""
        return "\n".join(self._cards(screen, screen.width or 10_000))

    def plain(self) -> str:
        """Columns as wide as their widest cell."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[n]) for line in lines) for n in range(len(self.header))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _widths(self, width: int) -> list[int] | None:
        """Share the terminal out among the columns; None where a word would not fit."""
        widths, wanted = [], []
        for n, name in enumerate(self.header):
            cells = [name, *(row[n] for row in self.rows)]
            longest = max(map(len, cells))
            word = max((len(word) for cell in cells for word in cell.split()), default=0)
            widths.append(
                longest if name in self.ids else max(len(name), word, min(longest, _LEAST))
            )
            wanted.append(longest)
        spare = width - sum(widths) - _GAP * (len(widths) - 1)
        if spare < 0:
            return None
        while spare and (growing := [n for n, w in enumerate(widths) if w < wanted[n]]):
            widths[min(growing, key=lambda n: widths[n])] += 1
            spare -= 1
        return widths

    def _table(self, screen: Screen, widths: Sequence[int]) -> str:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for name, width in zip(self.header, widths, strict=True):
            table.add_column(name, width=width, no_wrap=name in self.ids, overflow="fold")
        for row in self.rows:
            cells = zip(self.header, row, strict=True)
            table.add_row(*(Text(cell, style=self._style(name, cell)) for name, cell in cells))
        with io.StringIO() as file:
            screen._console(file).print(table)  # noqa: SLF001 -- one module
            return "\n".join(line.rstrip() for line in file.getvalue().splitlines())

    def _cards(self, screen: Screen, width: int) -> Iterator[str]:
        label_width = max(len(name) for name in self.header[1:]) + 2
        for number, row in enumerate(self.rows):
            title, *cells = row
            if title:
                if number:
                    yield ""
                for _, line in folded("", title, width):
                    yield screen.painted(line, "bold")
            for name, cell in zip(self.header[1:], cells, strict=True):
                style = self._style(name, cell)
                for indent, line in folded(f"  {name.lower():<{label_width}}", cell, width):
                    yield (indent + screen.painted(line, style)).rstrip()

    def _style(self, name: str, cell: str) -> str:
        return style_of(cell) if name in self.states else ""
