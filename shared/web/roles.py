"""Demand app roles of the caller, wherever people sign in."""

from typing import Final

from shared.domain.errors import NotAllowed, NotSignedIn
from shared.domain.people import Person, Role
from shared.web.messages import HttpRequest
from shared.web.principal import signed_in

READERS: Final = (Role.READ, Role.REQUEST, Role.APPROVE)
"""Who may ask for a reset, or decide on one, may read it as well."""


def demand(request: HttpRequest, *roles: Role, sign_in: bool) -> Person | None:
    """
    Return the signed-in caller, who holds one of *roles*; any caller where none are named.

    None where nobody can sign in: there the function key, which the host has checked, is enough.
    Raise NotSignedIn or NotAllowed.
    """
    if not sign_in:
        return None
    person = signed_in(request, sign_in=sign_in)
    if person is None:
        raise NotSignedIn(
            "people sign in here, and a function key alone is not enough; send a token of "
            "Microsoft Entra (az account get-access-token) as Authorization: Bearer"
        )
    if roles and not person.roles.intersection(roles):
        raise NotAllowed(
            f"the app role {' or '.join(roles)} is needed, and {person.name} holds "
            f"{', '.join(sorted(person.roles)) or 'none'}; ask for it in Microsoft Entra"
        )
    return person
