"""Prints the demo: lines of at most 80 columns, plain in a pipe, one moving line in a terminal."""

import sys
import textwrap
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

WIDTH: Final = 80
_BAR: Final = 30
_EVENT: Final = 23
"""Columns before the text of an event."""


@dataclass
class Terminal:
    """Where the demo is watched, and since when."""

    live: bool = field(default_factory=sys.stdout.isatty)
    began: float = field(default_factory=time.monotonic)
    moving: bool = False

    def line(self, text: str = "", *, indent: int = 2) -> None:
        """Print *text* as it stands but for its width; what follows a break goes further in."""
        if self.moving:
            print()
            self.moving = False
        for line in text.splitlines() or [""]:
            own = len(line) - len(line.lstrip())
            rest = " " * min(own + indent, WIDTH // 2)
            folded = textwrap.wrap(
                line.strip(),
                WIDTH,
                initial_indent=" " * own,
                subsequent_indent=rest,
                break_on_hyphens=False,
            )
            print("\n".join(folded or [""]), flush=True)

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def title(self, text: str) -> None:
        self.line()
        for line in textwrap.wrap(text, WIDTH):
            self.line(f"\033[1m{line}\033[0m" if self.live else line)

    def event(self, name: str, text: str) -> None:
        self.line(f"{self._at(name)}{text}", indent=_EVENT - 2)

    def progress(self, text: str) -> None:
        """Show "12 of 52" as a bar; anything else is not progress."""
        done, _, rest = text.partition(" of ")
        if not (done.isdigit() and rest.isdigit() and int(rest)):
            return
        filled = round(_BAR * int(done) / int(rest))
        shown = f"{self._at('cycle')}[{'#' * filled}{'.' * (_BAR - filled)}] {text} users"
        if self.live:
            print(f"\r\033[K{shown}", end="", flush=True)
            self.moving = True
        else:
            self.line(shown)

    def _at(self, name: str) -> str:
        return f"  {time.monotonic() - self.began:6.1f} s  {name:<10} "


def short(value: Any) -> str:
    """A column's value on one line, cut: the whole of it is in the table."""
    text = value.isoformat() if hasattr(value, "isoformat") else " ".join(str(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
