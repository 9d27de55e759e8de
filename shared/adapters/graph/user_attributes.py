"""
Which member of a Graph user holds a source attribute of a mapping.

Mappings name attributes as the synchronization service does: some differ from Graph's own names,
in any case, and a name that a user does not have would make `$select` a 400.
https://learn.microsoft.com/graph/api/resources/user
"""

from collections.abc import Collection, Mapping
from typing import Final

from shared.adapters.graph import json_reader as read

READABLE_ATTRIBUTES: Final = frozenset(
    {
        "businessPhones",
        "city",
        "companyName",
        "country",
        "department",
        "displayName",
        "employeeId",
        "employeeType",
        "givenName",
        "jobTitle",
        "mail",
        "mailNickname",
        "mobilePhone",
        "officeLocation",
        "onPremisesImmutableId",
        "onPremisesSamAccountName",
        "onPremisesUserPrincipalName",
        "postalCode",
        "preferredLanguage",
        "state",
        "streetAddress",
        "surname",
        "usageLocation",
        "userPrincipalName",
    }
)

_OTHER_NAMES: Final = {
    "objectId": "id",
    "telephoneNumber": "businessPhones",
    "mobile": "mobilePhone",
    "physicalDeliveryOfficeName": "officeLocation",
}
_EXTENSIONS: Final = "onPremisesExtensionAttributes"
_EXTENSION_NAMES: Final = {f"extensionAttribute{n}": _EXTENSIONS for n in range(1, 16)}

_GRAPH_NAMES: Final = {
    source.casefold(): name
    for source, name in (
        *zip(sorted(READABLE_ATTRIBUTES), sorted(READABLE_ATTRIBUTES), strict=True),
        *_OTHER_NAMES.items(),
        *_EXTENSION_NAMES.items(),
    )
}


def graph_names(sources: Collection[str]) -> Mapping[str, str]:
    """The member of a user for each source attribute that a user has in Graph."""
    found = {source: _GRAPH_NAMES.get(source.casefold(), "") for source in sources}
    return {source: name for source, name in found.items() if name}


def value_of(user: Mapping[str, object], source: str) -> str:
    """The value of a source attribute; empty where the user has none."""
    name = _GRAPH_NAMES[source.casefold()]
    if name != _EXTENSIONS:
        return read.identifier(user.get(name))
    members = read.members(user.get(name))
    by_name = {each.casefold(): value for each, value in members.items()}
    return read.identifier(by_name.get(source.casefold()))
