"""Writes the directory's events as rows of Graph's audit log."""

from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from local.emulator.odata import Row
from local.emulator.odd_logs import with_exports
from local.emulator.shapes import moment
from local.emulator.values import Event, Initiator, State

_ACTIVITIES = {
    "JobRestarted": "Enable/restart provisioning configuration",
    "JobStarted": "Enable/start provisioning configuration",
    "JobPaused": "Disable/pause provisioning configuration",
    "JobQuarantined": "Quarantine",
}

_SERVICE = Initiator(name="Azure AD Provisioning Service")


def audit_rows(state: State, *, until: datetime) -> Sequence[Row]:
    """What had happened by then, newest first as Graph answers."""
    names = {sp.id: sp.display_name for sp in state.service_principals}
    told = [
        _audit_json(event, number, names.get(event.service_principal_id, ""))
        for number, event in enumerate(state.events)
        if event.name in _ACTIVITIES and event.at <= until
    ]
    rows = told[::-1]
    return with_exports(rows) if "otherActivities" in state.audit_oddities else rows


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
        "initiatedBy": _initiated_by(event.by or _SERVICE),
        "targetResources": [target],
        "additionalDetails": [],
    }


def _initiated_by(who: Initiator) -> Row:
    if who.kind == "user":
        user: Row = {
            "id": who.id,
            "displayName": None,
            "userPrincipalName": who.name,
            "ipAddress": "203.0.113.7",
            "userType": None,
            "homeTenantId": None,
            "homeTenantName": None,
        }
        return {"user": user, "app": None}
    app: Row = {
        "appId": who.app_id,
        "displayName": who.name,
        "servicePrincipalId": who.id,
        "servicePrincipalName": None,
    }
    return {"user": None, "app": app}
