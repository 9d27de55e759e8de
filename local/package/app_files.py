"""The app as it is deployed: the project less what `.funcignore` names, as Core Tools reads it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from local.package.errors import PackageError

IGNORE_FILE: Final = ".funcignore"


def collect(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the project that is deployed, by its path."""
    patterns = _patterns((root / IGNORE_FILE).read_text(encoding="utf-8"))
    yield from _walk(root, "", patterns)


def _walk(
    folder: Path, prefix: str, patterns: list[re.Pattern[str]]
) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir()):
        name = f"{prefix}{entry.name}" + ("/" if entry.is_dir() else "")
        if name == IGNORE_FILE or any(pattern.search(name) for pattern in patterns):
            continue
        if entry.is_dir():
            yield from _walk(entry, name, patterns)
        else:
            yield name, entry.read_bytes()


def _patterns(text: str) -> list[re.Pattern[str]]:
    """
    The part of gitignore's language that the file uses: names, folders (`x/`), `*`.

    Anything else is refused rather than read in a way of our own.
    """
    found = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if pattern.startswith("!") or "**" in pattern or "[" in pattern or "?" in pattern:
            raise PackageError(f"{IGNORE_FILE}: {pattern!r} is not understood here; say it plainly")
        folder, bare = pattern.endswith("/"), pattern.strip("/")
        # Like git: a pattern with a slash inside, or in front, is anchored at the root.
        anchored = "/" in bare or pattern.startswith("/")
        start = "^" if anchored else "(?:^|/)"
        end = "/" if folder else "(?:/|$)"
        found.append(re.compile(start + re.escape(bare).replace(r"\*", "[^/]*") + end))
    return found
