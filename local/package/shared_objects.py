"""
Leave out of a shared object (ELF, 64 bits) what the loader never maps into memory.

That is what linkers and debuggers read: symbol tables and debugging information, a quarter of the
package in some releases. They lie behind the segments, which stay as they are, byte for byte; the
header then says that there are no sections.
"""

import struct
from typing import Final

from local.package.errors import PackageError

_MAGIC: Final = b"\x7fELF\x02\x01"
"""64 bits, little endian: what the platform runs."""

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")


def loadable(content: bytes, *, name: str) -> bytes:
    """Return the file as far as its segments reach. *name* is for the message."""
    if not content.startswith(_MAGIC) or len(content) < _HEADER.size:
        raise PackageError(f"{name}: not a shared object of the platform (ELF, 64 bits)")
    header = list(_HEADER.unpack_from(content))
    table, size, count = header[5], header[9], header[10]
    if size != _SEGMENT.size or table + size * count > len(content):
        raise PackageError(f"{name}: its table of segments cannot be read")
    end = table + size * count
    for number in range(count):
        offset, length = _segment(content, table + size * number)
        end = max(end, offset + length)
    if end > len(content):
        raise PackageError(f"{name}: it ends before its segments do")
    # Where the sections are (none), how long an entry of theirs is, how many, which names them.
    header[6], header[11:14] = 0, [0, 0, 0]
    return _HEADER.pack(*header) + content[_HEADER.size : end]


def _segment(content: bytes, at: int) -> tuple[int, int]:
    """Where a segment lies in the file, and how long it is there."""
    found = _SEGMENT.unpack_from(content, at)
    return found[2], found[5]
