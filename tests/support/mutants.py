"""
Derives more cases from one that hypothesis drew: bytes changed, tokens replaced, text recoded.

Drawing costs far more than trying: a fuzzer that tries ten cases of each drawn one does its 50,000
in minutes. The first case is the drawn one itself, so that a failure of it still shrinks.
"""

import re
from collections.abc import Iterator
from random import Random
from typing import Final

from hypothesis import strategies as st

EACH: Final = 10
"""Cases of one that was drawn, itself included."""

randoms: Final = st.randoms(use_true_random=True)
"""Seeded by hypothesis, so that a failing example comes again; drawn from without its record."""

_TOKEN: Final = re.compile(
    rb'"(?:[^"\\]|\\.){0,300}"|-?[0-9][0-9.eE+-]*|true|false|null|[{}\[\],:]'
)
_HOSTILE: Final = (
    *(b"null", b"true", b"0", b"-0", b"1e999", b"-1e-999", b"NaN", b"Infinity", b"1.0", b"0x1"),
    *(b'""', b'" "', b'"\\ud800"', b'"\\u0000"', b'"\\u202e"', b'"\xed\xa0\x80"', b'"\xff"'),
    *(b"[]", b"{}", b"[[]]", b'[{"a":[null]}]', b'{"":""}', b'{"a":1,"\\u0061":2}', b"//x\n"),
    *(b"9" * 400, b"9" * 5000, b"[" * 3000, b"0." + b"1" * 400, b'"' + b"x" * 3000 + b'"'),
    *(b'"9999-12-31T23:59:59-12:00"', b'"0001-01-01T00:00:00+14:00"', b'"2026-11-24T24:00:00Z"'),
    *(b'"=CMD()"', b'"\'"', b'"..%2f"', b'"a\\r\\nb: c"', b'"{{x}}"', b'"<b>"', b'"/"', b'"#"'),
)
_ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "utf-7")


def mutants(raw: bytes, random: Random) -> Iterator[bytes]:
    """Yield *raw*, and then variants of it."""
    yield raw
    for _ in range(EACH - 1):
        yield mutant(raw, random)


def mutant(raw: bytes, random: Random) -> bytes:
    """Return *raw* with one to three changes."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        raw = random.choice(_CHANGES)(raw, random)
    return raw


def texts(text: str, random: Random) -> Iterator[str]:
    """Yield *text*, and then variants of it."""
    yield text
    for _ in range(EACH - 1):
        yield text_mutant(text, random)


def text_mutant(text: str, random: Random) -> str:
    """Do as `mutant` does: what is not UTF-8 any more becomes lone surrogates."""
    raw = mutant(text.encode("utf-8", "surrogatepass"), random)
    return raw.decode("utf-8", "surrogateescape")


def _place(raw: bytes, random: Random) -> int:
    return random.randint(0, len(raw))


def _slice(raw: bytes, random: Random) -> tuple[int, int]:
    begin = _place(raw, random)
    return begin, min(len(raw), begin + random.choice((1, 1, 2, 3, 8, 40)))


def _replace_byte(raw: bytes, random: Random) -> bytes:
    begin, end = _slice(raw, random)
    return raw[:begin] + random.randbytes(end - begin if end - begin < 3 else 1) + raw[end:]


def _insert(raw: bytes, random: Random) -> bytes:
    at = _place(raw, random)
    return raw[:at] + random.choice((random.randbytes(1), *_HOSTILE)) + raw[at:]


def _cut(raw: bytes, random: Random) -> bytes:
    begin, end = _slice(raw, random)
    return raw[:begin] + raw[end:]


def _repeat(raw: bytes, random: Random) -> bytes:
    begin, end = _slice(raw, random)
    return raw[:end] + raw[begin:end] * random.choice((1, 1, 2, 50)) + raw[end:]


def _end_early(raw: bytes, random: Random) -> bytes:
    return raw[: _place(raw, random)]


def _replace_token(raw: bytes, random: Random) -> bytes:
    """Replace a token by a hostile one, or by another of the same text."""
    found = list(_TOKEN.finditer(raw))
    if not found:
        return _insert(raw, random)
    old, other = random.choice(found), random.choice(found)
    new = random.choice((other.group(), random.choice(_HOSTILE), random.choice(_HOSTILE)))
    return raw[: old.start()] + new + raw[old.end() :]


def _recode(raw: bytes, random: Random) -> bytes:
    text = raw.decode("utf-8", "replace")
    return text.encode(random.choice(_ENCODINGS), "replace")


def _respell(raw: bytes, random: Random) -> bytes:
    """Write one character of a string as its escape, or in the other case."""
    found = [m for m in _TOKEN.finditer(raw) if m.group().startswith(b'"') and len(m.group()) > 2]
    if not found:
        return _cut(raw, random)
    match = random.choice(found)
    at = random.randrange(match.start() + 1, match.end() - 1)
    new = random.choice((b"\\u%04x" % raw[at], raw[at : at + 1].swapcase()))
    return raw[:at] + new + raw[at + 1 :]


_CHANGES: Final = (
    _replace_byte,
    _insert,
    _cut,
    _repeat,
    _end_early,
    _replace_token,
    _replace_token,
    _replace_token,
    _recode,
    _respell,
)
