"""Writes the directory's evaluated entries as rows of Graph's provisioning log."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from local.emulator.odata import Row
from local.emulator.shapes import moment
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

_SOURCE = "Microsoft Entra ID"
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
    action, result, steps = _told(event, person, sp.display_name)
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
        "sourceSystem": _system(tenant, _SOURCE, {}),
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
        "sourceIdentity": _identity(detail["user"], person, {"odatatype": "User"} | _name_of(user)),
        "targetIdentity": _identity(detail["target"], "", {}),
    }


def _told(event: Event, person: str, system: str) -> tuple[str, str, list[Row]]:
    """Action, status and steps of an entry."""
    received = _step("EntryImportAdd", "import", f"Received User '{person}' from {_SOURCE}")
    who = f"User '{person}'"
    target, found = event.detail["target"], event.detail.get("found", "")
    if event.name == "EntryHeld":
        words = f"{who} will not be deleted: the threshold for deletions is exceeded"
        return "stagedDelete", "skipped", [received, _step("EntryExportDelete", "export", words)]
    if event.name == "EntryDisabled":
        words = f"{who} was disabled in {system}"
        return "disable", "success", [received, _step("EntryExportUpdate", "export", words)]
    if "error" in event.detail:
        action = "update" if target else "create"
        name = "EntryExportUpdate" if target else "EntryExportAdd"
        words = f"Failed to {action} {who} in {system}"
        return action, "failure", [received, _step(name, "export", words, status="failure")]
    if found == "created":
        matching = f"{who} will be created in {system} (no matching User was found)"
        return (
            "create",
            "success",
            [
                received,
                _step("EntrySynchronizationAdd", "matching", matching),
                _step("EntryExportAdd", "export", f"{who} was created in {system}", target),
            ],
        )
    # By the link that is kept, or by the attributes.
    name = "EntryImportByJoiningProperty" if found == "linked" else "EntryImportByMatchingProperty"
    same = f"{who} will be skipped: {system} has these values already"
    return (
        "other",
        "skipped",
        [
            received,
            _step(name, "matching", f"Retrieved User '{target}' from {system}", target),
            _step("EntrySynchronizationSkip", "processing", same, SkipReason="RedundantExport"),
        ],
    )


def _step(
    name: str,
    kind: str,
    description: str,
    identifier: str = "",
    *,
    status: str = "success",
    **details: str,
) -> Row:
    if identifier:
        details["id"] = identifier
    return {
        "name": name,
        "provisioningStepType": kind,
        "status": status,
        "description": description,
        "details": details,
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


def _name_of(user: User | None) -> dict[str, str]:
    return {"UserPrincipalName": user.user_principal_name} if user else {}
