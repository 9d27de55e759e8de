"""Tell people apart: by directory object and tenant, never by a name."""

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """The app roles of the registration."""

    READ = "Resets.Read"
    REQUEST = "Resets.Request"
    APPROVE = "Resets.Approve"


class Person(Struct, frozen=True, kw_only=True):
    """
    The signed-in caller, as the platform's authentication vouches for it.

    Names change hands and can be chosen: `name` is for display alone. A program signs in as well;
    it may read and ask, and decides nothing.
    """

    object_id: str
    tenant_id: str
    name: str
    roles: frozenset[Role] = frozenset()
    is_program: bool = False

    @property
    def identity(self) -> str:
        """What is compared and kept: an object id is unique within its tenant only."""
        return f"{self.tenant_id}/{self.object_id}"
