"""
`python -m local.release vX.Y.Z`: print the notes of a version, from CHANGELOG.md.

Refuses a tag that is not the version of pyproject.toml, or that the changelog does not know.
Standard library only.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


class ReleaseError(Exception):
    """What the tag does not agree with."""


def notes(tag: str, *, changelog: str, version: str) -> str:
    """Return what the changelog says of the version that *tag* names."""
    if tag != f"v{version}":
        raise ReleaseError(f"{tag} is not v{version}, the version in pyproject.toml")
    sections = re.split(r"^## (.+)$", changelog, flags=re.MULTILINE)
    for title, text in zip(sections[1::2], sections[2::2], strict=True):
        if title.split()[0].strip("[]") == version:
            return text.strip() + "\n"
    raise ReleaseError(f"CHANGELOG.md has no section {version}; rename Unreleased")


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    try:
        print(notes(sys.argv[1], changelog=changelog, version=project["version"]), end="")
    except IndexError:
        print("give the tag, for example v0.1.0", file=sys.stderr)
        return 1
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
