"""
Shows rows: cards in a narrow terminal, a folded table in a wide one, plain columns in a pipe.

Nothing is wider than the terminal, and no id is cut: one that does not fit beside its label gets
a line of its own.
"""

import io
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

CARDS_UNDER: Final = 120
_LEAST: Final = 12
"""Columns of text narrower than this are not read; then cards are shown."""

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
        if not sys.stdout.isatty():
            return cls(width=None, wide=wide)
        width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
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
        if screen.width < CARDS_UNDER or not self._fits(screen.width):
            return "\n".join(self._cards(screen, screen.width))
        return self._table(screen)

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

    def _fits(self, width: int) -> bool:
        needed = 2 * (len(self.header) - 1)
        for n, name in enumerate(self.header):
            longest = max((len(row[n]) for row in self.rows), default=0)
            needed += max(len(name), longest if name in self.ids else min(longest, _LEAST))
        return needed <= width

    def _table(self, screen: Screen) -> str:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in self.header:
            table.add_column(name, no_wrap=name in self.ids, overflow="fold")
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
                for line in _folded(title, width):
                    yield screen.painted(line, "bold")
            for name, cell in zip(self.header[1:], cells, strict=True):
                if cell:
                    yield from self._member(screen, name, cell, width, label_width)

    def _member(
        self, screen: Screen, name: str, cell: str, width: int, label_width: int
    ) -> Iterator[str]:
        label, room = f"  {name.lower():<{label_width}}", width - label_width - 2
        if name in self.ids and len(cell) > room:
            yield label.rstrip()
            indent = "    " if len(cell) + 4 <= width else ""
            yield from (indent + line for line in _folded(cell, width - len(indent)))
            return
        style = self._style(name, cell)
        for line in _folded(cell, room):
            yield label + screen.painted(line, style)
            label = " " * len(label)

    def _style(self, name: str, cell: str) -> str:
        return style_of(cell) if name in self.states else ""


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 8), break_on_hyphens=False) or [""]
