"""Decodes the text of a queue message to its body, as .NET does."""

import base64
import binascii


def decode(wire_text: str, *, as_base64: bool) -> bytes | None:
    """
    The body, or None where the genuine listener calls the message undecodable.

    Like Convert.FromBase64String: white space anywhere is ignored; missing padding and the
    URL-safe alphabet are errors. Plain text that happens to be base64 is decoded.
    """
    if not as_base64:
        return wire_text.encode()
    bare = wire_text.translate(dict.fromkeys(map(ord, " \t\r\n")))
    try:
        return base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError):
        return None


def as_text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
