"""The locked wheels: fetched once, checked by hash, and what of each is shipped."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from local.package.errors import PackageError
from local.package.lock import PLATFORM, Locked
from local.package.shared_objects import loadable

# Needed to build or to type-check an extension, never to run it.
_SOURCES: Final = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".typed"})
# METADATA answers importlib.metadata.version, entry_points.txt is how OpenTelemetry finds its
# context; licences must accompany what they license. RECORD would name files that are not here.
_KEPT_METADATA: Final = frozenset({"METADATA", "entry_points.txt"})
_LICENCES: Final = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")


def fetch(locked: Sequence[Locked], cache: Path) -> tuple[Path, ...]:
    """The wheels' paths, in the lock's order; what the cache lacks is downloaded."""
    cache.mkdir(parents=True, exist_ok=True)
    found = _by_hash(cache)
    missing = [wheel for wheel in locked if wheel.sha256 not in found]
    if missing:
        _download(missing, cache)
        found = _by_hash(cache)
    absent = [wheel.name for wheel in locked if wheel.sha256 not in found]
    if absent:
        raise PackageError(f"not to be had with the locked hash: {', '.join(absent)}")
    return tuple(found[wheel.sha256] for wheel in locked)


def _by_hash(cache: Path) -> dict[str, Path]:
    return {hashlib.sha256(p.read_bytes()).hexdigest(): p for p in sorted(cache.glob("*.whl"))}


def _download(wheels: Sequence[Locked], cache: Path) -> None:
    # --no-deps: the lock is complete, and markers must not be asked of the machine that builds.
    lines = [f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels]
    wanted = cache / "wanted.txt"
    wanted.write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", f"--dest={cache}", f"--requirement={wanted}"]
    done = subprocess.run([*command, *PLATFORM], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise PackageError(f"pip could not download the locked wheels:\n{done.stderr.strip()}")


def shipped(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel that the app may need, by their path under site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if not entry.is_dir() and _is_needed(path):
                yield entry.filename, _of_use(path, archive.read(entry))


def _of_use(path: PurePosixPath, content: bytes) -> bytes:
    """The part of a file that is of use to the app."""
    if path.name == "METADATA":
        # What follows the first empty line is the project's README.
        return content.partition(b"\n\n")[0] + b"\n"
    return loadable(content, name=str(path)) if path.suffix == ".so" else content


def _is_needed(path: PurePosixPath) -> bool:
    top = path.parts[0]
    if top.endswith(".data"):
        raise PackageError(f"{path}: a wheel with a .data folder; say here where that belongs")
    if top.endswith(".dist-info"):
        return path.name in _KEPT_METADATA or path.name.upper().startswith(_LICENCES)
    return path.suffix not in _SOURCES and path.name != "py.typed"
