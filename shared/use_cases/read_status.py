"""
Show state and outcome of a reset to the holder of its status address.

The address carries a token: a keyed digest of the id. Nothing is stored for it with the reset, a
request that comes twice gets the same address, and a wrong token is refused before any row is read.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable

from msgspec import Struct

from shared.domain.errors import NotFound
from shared.domain.ports import ResetReader, StatusKeys
from shared.domain.reset import Reset


class ReadStatus(Struct, frozen=True, kw_only=True):
    """
    The use case `get_status`.

    *new_key* gives 64 random hex digits, the first time that an address is asked for.
    """

    keys: StatusKeys
    resets: ResetReader
    new_key: Callable[[], str]

    async def token(self, reset_id: str) -> str:
        """Return what the status address of this reset carries."""
        key = await self.keys.status_key(self.new_key)
        digest = hmac.digest(key.encode(), _bytes(reset_id), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    async def find(self, reset_id: str, token: str) -> Reset:
        """Return the reset; raise NotFound for a wrong token in the words for an unknown id."""
        right = await self.token(reset_id)
        if hmac.compare_digest(right.encode(), _bytes(token)):
            stored = await self.resets.find_reset(reset_id)
            if stored is not None:
                return stored.row
        raise NotFound(f"there is no reset {reset_id[:192]}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
