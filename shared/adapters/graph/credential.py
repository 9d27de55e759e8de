"""Keeps the credential that Graph's tokens come from, and replaces it where a token is refused."""

from collections.abc import Callable
from typing import Any


class RenewableCredential:
    """
    One of azure-identity's asynchronous credentials, made again when it is to forget its tokens.

    They keep a token until shortly before it expires and offer no way past that. The platform may
    still give the same token again: its own endpoint keeps them as well.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._credential = make()

    async def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        return await self._credential.get_token(*scopes, **kwargs)

    async def renew(self) -> None:
        before, self._credential = self._credential, self._make()
        await before.close()
