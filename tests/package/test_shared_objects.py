"""Of a shared object everything that the loader maps is shipped, byte for byte, and no more."""

import struct
import sys
import zipfile
from pathlib import Path

import pytest

from local.package import lock, wheels
from local.package.build import CACHE, ROOT, SITE, Package
from local.package.errors import PackageError
from local.package.shared_objects import loadable
from tests.package.support import run

HEADER = 64
SECTIONS_AT, SECTIONS_END = slice(40, 48), slice(58, 64)
"""Where the header says where the sections are, and how many."""

OF_TOO_MANY_SEGMENTS = (
    b"\x7fELF\x02\x01\x01" + bytes(25) + b"\xff" * 8 + bytes(14) + b"\x38\x00\x09\x00" + bytes(6)
)


def segments(content: bytes) -> list[tuple[int, bytes]]:
    """The type and the bytes of each segment, read as the loader reads them."""
    at, size, count = (
        struct.unpack_from("<Q", content, 32)[0],
        *struct.unpack_from("<HH", content, 54),
    )
    found = []
    for number in range(count):
        kind, _, offset, _, _, length, *_ = struct.unpack_from(
            "<IIQQQQQQ", content, at + size * number
        )
        found.append((kind, content[offset : offset + length]))
    return found


def without_sections(header: bytes) -> bytes:
    kept = bytearray(header)
    kept[SECTIONS_AT] = bytes(8)
    kept[SECTIONS_END] = bytes(6)
    return bytes(kept)


def test_every_segment_is_the_vendors(package: Package) -> None:
    locked = lock.read((ROOT / lock.LOCK).read_text(encoding="utf-8"))
    vendors = {
        SITE + entry: archive.read(entry)
        for wheel in wheels.fetch(locked, ROOT / CACHE)
        for archive in [zipfile.ZipFile(wheel)]
        for entry in archive.namelist()
        if entry.endswith(".so")
    }
    shipped = {path: text for path, text in package.files.items() if path.endswith(".so")}

    assert len(shipped) > 10
    for path, text in shipped.items():
        whole = vendors[path]
        # The first segment begins with the header, whose word about sections differs.
        mine = [(kind, part.removeprefix(text[:HEADER])) for kind, part in segments(text)]
        theirs = [(kind, part.removeprefix(whole[:HEADER])) for kind, part in segments(whole)]
        assert mine == theirs, path
        assert text[:HEADER] == without_sections(whole[:HEADER]), path
        assert whole[HEADER : len(text)] == text[HEADER:], path
        assert loadable(text, name=path) == text, "twice is once"
    assert sum(map(len, shipped.values())) < sum(len(vendors[path]) for path in shipped) - 5_000_000


async def test_every_one_is_loaded_by_a_process_of_its_own(unpacked: Path) -> None:
    site = unpacked / SITE
    modules = [
        ".".join((path.parent / path.name.partition(".")[0]).relative_to(site).parts)
        for path in sorted(site.rglob("*.so"))
    ]
    program = (
        f"import importlib, sys; sys.path.insert(0, {str(site)!r})\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )

    code, said = await run([sys.executable, "-I", "-S", "-c", program], {})

    assert code == 0, said
    assert len(modules) > 10


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MZ\x90\x00",
        b"\x7fELF\x02\x01\x01",
        b"\x7fELF\x01\x01\x01" + bytes(57),
        b"\x7fELF\x02\x01\x01" + bytes(57),
        OF_TOO_MANY_SEGMENTS,
    ],
)
def test_what_cannot_be_read_as_one_stops_the_build(content: bytes) -> None:
    with pytest.raises(PackageError, match=r"^lib\.so: "):
        loadable(content, name="lib.so")
