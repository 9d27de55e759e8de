"""Writes the directory's events as rows of Graph's audit log."""

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from local.emulator.odata import Row
from local.emulator.shapes import moment
from local.emulator.values import Event, State

_ACTIVITIES = {
    "JobRestarted": "Enable/restart provisioning configuration",
    "JobStarted": "Enable/start provisioning configuration",
    "JobPaused": "Disable/pause provisioning configuration",
    "JobQuarantined": "Quarantine",
}


def audit_rows(state: State, *, until: datetime) -> list[Row]:
    """What had happened by then, newest first as Graph answers."""
    names = {sp.id: sp.display_name for sp in state.service_principals}
    told = [
        _audit_json(event, number, names.get(event.service_principal_id, ""))
        for number, event in enumerate(state.events)
        if event.name in _ACTIVITIES and event.at <= until
    ]
    return told[::-1]


def _audit_json(event: Event, number: int, name: str) -> Row:
    correlation = str(uuid5(NAMESPACE_URL, f"{event.job_id}/{moment(event.at)}/{number}"))
    target: Row = {
        "id": event.service_principal_id,
        "displayName": name,
        "type": "ServicePrincipal",
        "userPrincipalName": None,
        "groupType": None,
        "modifiedProperties": [],
    }
    name = "Azure AD Provisioning Service" if event.name == "JobQuarantined" else "Graph caller"
    actor: Any = {"appId": None, "displayName": name, "servicePrincipalId": None}
    return {
        "id": f"SyncFabric_{correlation}",
        "category": "ProvisioningManagement",
        "correlationId": correlation,
        "result": "success",
        "resultReason": "",
        "activityDisplayName": _ACTIVITIES[event.name],
        "activityDateTime": moment(event.at),
        "loggedByService": "Account Provisioning",
        "operationType": "",
        "initiatedBy": {"user": None, "app": actor},
        "targetResources": [target],
        "additionalDetails": [],
    }
