"""
What must never be in a log: whatever holds the word `canary`, and whatever was `guarded`.

Every log record of this process and every line of a process that a test starts is looked at, over
the whole run (tests/conftest.py); one hit fails the run.
"""

import logging
import re

WORD = "canary"
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")

_guarded: set[str] = set()
leaks: list[str] = []
"""Where one was seen, with the canary taken out."""

seen = 0
"""How many lines were looked at: a scan that saw none shows nothing."""


def guarded(*texts: str) -> str:
    """Let none of these reach a log from here on; return the first."""
    _guarded.update(texts)
    return texts[0]


def holds(text: str) -> bool:
    """Whether there is a canary, or something guarded, in it."""
    return WORD in text or any(token in _guarded for token in _TOKEN.findall(text))


def look_at(source: str, line: str) -> None:
    global seen  # noqa: PLW0603 -- one count for the whole run
    seen += 1
    if holds(line):
        leaks.append(f"{source}: {line[:60]}…")


class Listener(logging.Handler):
    """Looks at every record as it would be printed, a traceback included."""

    def emit(self, record: logging.LogRecord) -> None:
        look_at(record.name, self.format(record))
