"""Writes the directory's evaluated entries as rows of Graph's provisioning log."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from local.emulator.odata import Row
from local.emulator.shapes import moment
from local.emulator.steps import SOURCE, told
from local.emulator.values import Event, ServicePrincipal, State, User

TEXTS = frozenset(
    {
        "id",
        "changeId",
        "cycleId",
        "jobId",
        "tenantId",
        "provisioningAction",
        "servicePrincipal/id",
        "servicePrincipal/displayName",
        "sourceIdentity/id",
        "sourceIdentity/displayName",
        "sourceIdentity/identityType",
        "targetIdentity/id",
        "targetIdentity/displayName",
        "targetIdentity/identityType",
        "sourceSystem/displayName",
        "targetSystem/displayName",
    }
)
TIMES = frozenset({"activityDateTime"})

_REASONS = {
    "InvalidAnchor": "The account that was matched or created before does not exist any more.",
    "DuplicateTargetEntries": "More than one account has the value of the matching attribute.",
    "InvalidProperty": "The application refused a value.",
}


def provisioning_rows(state: State, *, now: datetime) -> list[Row]:
    """Return the rows that show at *now*, newest first."""
    return list(_rows(state, now=now))


def _rows(state: State, *, now: datetime) -> Iterator[Row]:
    users = {user.id: user for user in state.users}
    principals = {sp.id: sp for sp in state.service_principals}
    until = now - timedelta(seconds=state.provisioning_log_delay)
    since = now - timedelta(days=state.provisioning_log_days)
    for event in reversed(state.events):
        sp = principals.get(event.service_principal_id)
        if sp is not None and event.name.startswith("Entry") and since <= event.at <= until:
            yield _row(event, sp, users.get(event.detail["user"]), tenant=state.tenant_id)


def _row(event: Event, sp: ServicePrincipal, user: User | None, *, tenant: str) -> Row:
    detail = event.detail
    person = (user.display_name or user.user_principal_name) if user else ""
    change = f"{event.job_id}/{detail['user']}/{moment(event.at)}/{event.name}"
    action, result, steps = told(event, user, sp.display_name)
    return {
        "id": str(uuid5(NAMESPACE_URL, f"row/{change}")),
        "activityDateTime": moment(event.at),
        "tenantId": tenant,
        "jobId": event.job_id,
        "cycleId": str(uuid5(NAMESPACE_URL, f"{event.job_id}/{detail.get('cycle', '')}")),
        "changeId": str(uuid5(NAMESPACE_URL, f"change/{change}")),
        "provisioningAction": action,
        "durationInMilliseconds": 0,
        "provisioningStatusInfo": {
            "status": result,
            "errorInformation": _error(detail["error"]) if "error" in detail else None,
        },
        "provisioningSteps": steps,
        "modifiedProperties": [],
        "servicePrincipal": {"id": sp.id, "displayName": sp.display_name},
        "sourceSystem": _system(tenant, SOURCE, {}),
        "targetSystem": _system(
            str(uuid5(NAMESPACE_URL, f"system/{sp.id}")),
            sp.display_name,
            {
                "ApplicationId": sp.app_id,
                "ServicePrincipalId": sp.id,
                "ServicePrincipalDisplayName": sp.display_name,
            },
        ),
        "initiatedBy": {
            "id": "",
            "displayName": "Azure AD Provisioning Service",
            "initiatorType": "system",
        },
        "sourceIdentity": _identity(detail["user"], person, _details(detail["user"], user)),
        "targetIdentity": _identity(detail["target"], "", {}),
    }


def _error(code: str) -> Row:
    return {
        "errorCode": code,
        "reason": _REASONS.get(code, ""),
        "additionalDetails": None,
        "errorCategory": "nonServiceFailure",
        "recommendedAction": None,
    }


def _system(id_: str, name: str, details: dict[str, Any]) -> Row:
    return {"id": id_, "displayName": name, "details": details}


def _identity(id_: str, name: str, details: dict[str, Any]) -> Row:
    return {"id": id_, "displayName": name, "identityType": "User", "details": details}


def _details(id_: str, user: User | None) -> dict[str, str]:
    known = {"id": id_, "odatatype": "User"}
    if user is None:
        return known
    return known | {
        "DisplayName": user.display_name,
        "UserPrincipalName": user.user_principal_name,
    }
