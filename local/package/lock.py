"""
The exact wheels of the package, by version and hash.

`requirements.txt` pins what the app imports; `requirements.lock` adds what those bring, so that a
build tomorrow is the build of today. `python -m local.package.lock` writes it again.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.package.errors import PackageError

REQUIREMENTS: Final = Path("requirements.txt")
LOCK: Final = Path("local/package/requirements.lock")
TELEMETRY_REQUIREMENTS: Final = Path("requirements-telemetry.txt")
TELEMETRY_LOCK: Final = Path("local/package/telemetry.lock")
"""What `TELEMETRY=opentelemetry` adds, and what it needs in another version."""

# Flex Consumption runs Python 3.13 on Debian bookworm (glibc 2.36); 2.28 leaves room below it.
PLATFORM: Final = (
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.13",
    "--abi=cp313",
    "--abi=abi3",
    "--abi=none",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
    "--platform=manylinux_2_5_x86_64",
    "--platform=manylinux1_x86_64",
)

_HEADER: Final = (
    "# Written by `make lock` from requirements.txt: the wheels of dist/functionapp.zip.\n"
    "# The versions are those of requirements.lock; here is one wheel each, for the platform.\n"
)
_LINE: Final = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>\S+) --hash=sha256:(?P<hash>[0-9a-f]{64})"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    name: str
    version: str
    sha256: str


_TELEMETRY_HEADER: Final = (
    "# Written by `make lock` from requirements-telemetry.txt: what OpenTelemetry needs beside\n"
    "# requirements.lock, or in its place.\n"
)


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """The versions that a requirements file pins, by normalized name."""
    found = re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    return {normalized(name): version for name, version in found}


def read(text: str) -> tuple[Locked, ...]:
    """The wheels of a lock file; a line that is none stops the build."""
    wheels = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise PackageError(f"{LOCK}: {line!r} is not a locked wheel; run `make lock`")
        wheels.append(Locked(name=found["name"], version=found["version"], sha256=found["hash"]))
    return tuple(wheels)


def with_telemetry(base: tuple[Locked, ...], more: tuple[Locked, ...]) -> tuple[Locked, ...]:
    """The wheels of both; where both name one, that of *more*."""
    merged = {wheel.name: wheel for wheel in (*base, *more)}
    return tuple(merged[name] for name in sorted(merged))


def stale(requirements: str, locked: tuple[Locked, ...]) -> list[str]:
    """The pins of *requirements* that the lock does not hold in that very version."""
    has = {wheel.name: wheel.version for wheel in locked}
    return [f"{n}=={v}" for n, v in pins(requirements).items() if has.get(n) != v]


def resolve(root: Path, constraints: Path) -> str:
    """Ask the registry once, for the platform; the text of a new lock file."""
    return _HEADER + "".join(f"{line}\n" for line in _resolved(root / REQUIREMENTS, constraints))


def resolve_telemetry(root: Path, constraints: Path, base: str) -> str:
    """As `resolve`, without the wheels that the lock *base* has already."""
    held = set(base.splitlines())
    found = _resolved(root / TELEMETRY_REQUIREMENTS, constraints)
    return _TELEMETRY_HEADER + "".join(f"{line}\n" for line in found if line not in held)


def _resolved(requirements: Path, constraints: Path) -> list[str]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--dry-run", "--ignore-installed", "--report=-", "--target=unused", *PLATFORM]
    done = subprocess.run(
        [*command, f"--requirement={requirements}", f"--constraint={constraints}"],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise PackageError(f"pip could not resolve {requirements.name}:\n{done.stderr.strip()}")
    return sorted(
        f"{normalized(item['metadata']['name'])}=={item['metadata']['version']} "
        f"--hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}"
        for item in json.loads(done.stdout)["install"]
    )
