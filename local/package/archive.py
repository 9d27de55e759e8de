"""The zip: the same bytes for the same contents, on every machine and at any time."""

import hashlib
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

# The earliest that a zip can say.
_WHEN: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_UNIX: Final = 3


def write(files: Mapping[str, bytes], target: Path) -> None:
    """Entries sorted by path; no time, owner or mode of this machine gets in."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=9)


def unpack(package: Path, folder: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What a package weighs."""

    zipped: int
    unpacked: int
    count: int
    digest: str
    file_digest: str
    entries: tuple[tuple[str, int, int], ...]
    """Path, bytes zipped, bytes unpacked."""

    @classmethod
    def of(cls, package: Path) -> Self:
        contents = hashlib.sha256()
        with zipfile.ZipFile(package) as archive:
            entries = archive.infolist()
            for entry in entries:
                body = hashlib.sha256(archive.read(entry)).hexdigest()
                contents.update(f"{body}  {entry.filename}\n".encode())
        return cls(
            zipped=package.stat().st_size,
            unpacked=sum(entry.file_size for entry in entries),
            count=len(entries),
            digest=contents.hexdigest(),
            file_digest=hashlib.sha256(package.read_bytes()).hexdigest(),
            entries=tuple((e.filename, e.compress_size, e.file_size) for e in entries),
        )
