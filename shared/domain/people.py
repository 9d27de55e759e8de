"""Tell people apart: by directory object and tenant, never by a name."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """
    The signed-in caller, as the platform's authentication vouches for it.

    Names change hands and can be chosen: `name` is for display alone.
    """

    object_id: str
    tenant_id: str
    name: str

    @property
    def identity(self) -> str:
        """What is compared and kept: an object id is unique within its tenant only."""
        return f"{self.tenant_id}/{self.object_id}"
