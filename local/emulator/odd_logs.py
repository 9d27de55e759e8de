"""Rewrites rows of the two logs in odd but legal ways, each switched on by its name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from local.emulator.odd_jobs import Row, leaves, within

type AuditOddity = Literal[
    "dateThatIsNone",
    "filterIgnored",
    "initiatorWithoutId",
    "noInitiator",
    "otherActivities",
    "targetWithoutId",
]

type RowOddity = Literal[
    "connectorPrefix",
    "flatStatus",
    "identityTypeInDetails",
    "oldestFirst",
    "otherWordsCase",
    "principalInList",
    "sameSecond",
]


def odd_audit_rows(rows: Sequence[Row], oddities: Iterable[AuditOddity]) -> list[Row]:
    for name in oddities:
        rows = AUDIT_ODDITIES[name](rows)
    return list(rows)


def odd_provisioning_rows(rows: Sequence[Row], oddities: Iterable[RowOddity]) -> list[Row]:
    for name in oddities:
        rows = ROW_ODDITIES[name](rows)
    return list(rows)


def _each(change: Callable[[Row], Row]) -> Callable[[Sequence[Row]], Sequence[Row]]:
    return lambda rows: [change(row) for row in rows]


def _initiator_without_id(row: Row) -> Row:
    kinds = {
        kind: one and one | {"id": None} if kind == "user" else one and one | dict.fromkeys(_IDS)
        for kind, one in row["initiatedBy"].items()
    }
    return row | {"initiatedBy": kinds}


_IDS: Final = ("appId", "servicePrincipalId")


def with_exports(rows: Sequence[Row]) -> Sequence[Row]:
    """Put a row of the activity Export beside each, as the log of a running job has them."""
    return [
        one
        for row in rows
        for one in (row, row | {"id": f"{row['id']}_export", "activityDisplayName": "Export"})
    ]


AUDIT_ODDITIES: Final[Mapping[AuditOddity, Callable[[Sequence[Row]], Sequence[Row]]]] = {
    "dateThatIsNone": _each(lambda row: row | {"activityDateTime": "11/24/2026 9:00:00 AM"}),
    "filterIgnored": lambda rows: rows,  # the route obeys it
    "initiatorWithoutId": _each(_initiator_without_id),
    "noInitiator": _each(lambda row: row | {"initiatedBy": None}),
    "otherActivities": lambda rows: rows,  # with_exports, before the filter
    "targetWithoutId": _each(
        lambda row: row | {"targetResources": [row["targetResources"][0] | {"id": ""}]}
    ),
}


def _connector(row: Row) -> Row:
    return within(
        "provisioningStatusInfo.errorInformation",
        lambda error: error | {"errorCode": f"Salesforce{error['errorCode']}"},
    )(row)


def _flat(row: Row) -> Row:
    """Write a row as the beta version did: `action` and `statusInfo` without an inner object."""
    given = row["provisioningStatusInfo"]
    kept = {
        key: value
        for key, value in row.items()
        if key not in {"provisioningAction", "provisioningStatusInfo"}
    }
    status = {"@odata.type": "#microsoft.graph.statusDetails", "status": given["status"]}
    return kept | {
        "action": row["provisioningAction"].capitalize(),
        "statusInfo": status | (given["errorInformation"] or {}),
    }


def _type_in_details(row: Row) -> Row:
    source = {key: value for key, value in row["sourceIdentity"].items() if key != "identityType"}
    return row | {"sourceIdentity": source}


def _capital_words(name: str, value: Any) -> Any:
    words = {"provisioningStepType", "status", "provisioningAction"}
    return value.capitalize() if name in words and isinstance(value, str) else value


def _to_the_minute(row: Row) -> str:
    return f"{row['activityDateTime'][:16]}:00Z"


ROW_ODDITIES: Final[Mapping[RowOddity, Callable[[Sequence[Row]], Sequence[Row]]]] = {
    "connectorPrefix": _each(_connector),
    "flatStatus": _each(_flat),
    "identityTypeInDetails": _each(_type_in_details),
    "oldestFirst": lambda rows: rows[::-1],
    "otherWordsCase": _each(leaves(_capital_words)),
    "principalInList": _each(
        lambda row: row | {"servicePrincipal": [row["servicePrincipal"]]},
    ),
    "sameSecond": _each(lambda row: row | {"activityDateTime": _to_the_minute(row)}),
}
