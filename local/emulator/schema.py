"""Writes a job's synchronization schema as Graph does, with its matching attributes."""

from uuid import NAMESPACE_URL, uuid5

from local.emulator.odd_jobs import Row
from local.emulator.values import Job, Matching, ServicePrincipal

SOURCE = "Azure Active Directory"

# What each gallery application maps beside its matching attributes, shortened.
_FLOWS = (
    ("givenName", "FirstName"),
    ("surname", "LastName"),
    ("mail", "Email"),
)


def schema_json(sp: ServicePrincipal, job: Job) -> Row:
    """
    One rule for users, with the matching attributes by priority, and a mapping of groups.

    https://learn.microsoft.com/graph/api/resources/synchronization-attributemapping
    """
    rule: Row = {
        "containerFilter": None,
        "editable": True,
        "groupFilter": None,
        "id": rule_id(job),
        "metadata": [{"key": "supportsProvisionOnDemand", "value": "true"}],
        "name": "USER_OUTBOUND_USER",
        "objectMappings": [_users(job), _groups()],
        "priority": 1,
        "sourceDirectoryName": SOURCE,
        "targetDirectoryName": sp.display_name,
    }
    return {
        "id": job.id,
        "version": "Date:2026-01-15T09:00:00.0000000Z, Sequence:1",
        "synchronizationRules": [rule],
        "directories": [_directory(SOURCE, _sources(job)), _directory(sp.display_name, _own(job))],
    }


def rule_id(job: Job) -> str:
    return str(uuid5(NAMESPACE_URL, f"rule/{job.id}"))


def _users(job: Job) -> Row:
    matching = [_matching(pair, priority) for priority, pair in enumerate(job.matching, start=1)]
    return _mapping("User", enabled=True) | {
        "name": f"Provision {SOURCE} Users",
        "attributeMappings": [*_flows(job), *matching],
    }


def _groups() -> Row:
    """Groups are matched by their name; the mapping is switched off, as it is at first."""
    name = Matching(source="displayName", target="displayName")
    return _mapping("Group", enabled=False) | {
        "name": f"Provision {SOURCE} Groups",
        "attributeMappings": [_matching(name, 1)],
    }


def _mapping(kind: str, *, enabled: bool) -> Row:
    return {
        "enabled": enabled,
        "flowTypes": "Add, Update, Delete",
        "scope": None,
        "sourceObjectName": kind,
        "targetObjectName": kind,
        "metadata": [],
    }


def _flows(job: Job) -> list[Row]:
    """Attributes that flow and do not match: priority 0, one of them a function."""
    taken = {pair.target for pair in job.matching}
    active = 'Switch([IsSoftDeleted], , "False", "True", "True", "False")'
    rows = [_attribute(source, target) for source, target in _FLOWS if target not in taken]
    function = {"expression": active, "name": "Switch", "type": "Function", "parameters": []}
    return [*rows, _attribute("", "IsActive") | {"source": function}]


def _matching(pair: Matching, priority: int) -> Row:
    return _attribute(pair.source, pair.target) | {"matchingPriority": priority}


def _attribute(source: str, target: str) -> Row:
    return {
        "defaultValue": None,
        "exportMissingReferences": False,
        "flowBehavior": "FlowWhenChanged",
        "flowType": "Always",
        "matchingPriority": 0,
        "targetAttributeName": target,
        "source": {
            "expression": f"[{source}]",
            "name": source,
            "type": "Attribute",
            "parameters": [],
        },
    }


def _sources(job: Job) -> list[str]:
    return ["objectId", *dict.fromkeys(pair.source for pair in job.matching)]


def _own(job: Job) -> list[str]:
    return ["id", *dict.fromkeys(pair.target for pair in job.matching)]


def _directory(name: str, attributes: list[str]) -> Row:
    """The first attribute is the anchor."""
    return {
        "id": str(uuid5(NAMESPACE_URL, f"directory/{name}")),
        "name": name,
        "discoverabilities": "AttributeNames",
        "objects": [
            {
                "name": "User",
                "attributes": [
                    {"name": attribute, "anchor": number == 0, "type": "String"}
                    for number, attribute in enumerate(attributes)
                ],
            }
        ],
    }
