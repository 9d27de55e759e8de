"""Writes the directory's values as Graph v1.0 does."""

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from msgspec import to_builtins

from local.emulator.jobs import shown_status
from local.emulator.odata import Row
from local.emulator.odd_jobs import NEVER, odd_job
from local.emulator.values import (
    Execution,
    Job,
    JobError,
    Quarantine,
    ServicePrincipal,
    User,
)

_NO_ERROR = JobError(code="None", tenant_actionable=False)
_NOT_SCHEDULED = "P10675199DT2H48M5.4775807S"  # .NET's TimeSpan.MaxValue


def moment(value: datetime | None) -> str:
    if value is None:
        return NEVER
    text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


def service_principal_json(sp: ServicePrincipal) -> Row:
    return {
        "id": sp.id,
        "deletedDateTime": None,
        "accountEnabled": sp.account_enabled,
        "appDisplayName": sp.display_name,
        "appId": sp.app_id,
        "displayName": sp.display_name,
        "servicePrincipalType": "Application",
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
    }


def user_json(user: User) -> Row:
    return {
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": user.given_name,
        "jobTitle": None,
        "mail": user.mail,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": user.surname,
        "userPrincipalName": user.user_principal_name,
        "id": user.id,
    }


def more_of_user(user: User) -> Row:
    """What `$select` can add to the default properties."""
    return user_json(user) | {
        "accountEnabled": user.account_enabled,
        "employeeId": user.employee_id,
        "mailNickname": user.mail_nickname,
    }


def job_json(job: Job, *, now: datetime) -> Row:
    disabled = job.schedule_state == "Disabled"
    row: Row = {
        "id": job.id,
        "templateId": job.template_id,
        "schedule": {
            "expiration": None,
            "interval": _NOT_SCHEDULED if disabled else job.interval,
            "state": job.schedule_state,
        },
        "status": _status_json(job, now=now),
        "synchronizationJobSettings": [],
    }
    return odd_job(row, job.oddities)


def _status_json(job: Job, *, now: datetime) -> Row:
    status = shown_status(job, now)
    last, good = status.last_execution, status.last_successful_execution
    exports = status.last_successful_execution_with_exports
    answer: Row = {
        "countSuccessiveCompleteFailures": status.complete_failures,
        "escrowsPruned": status.escrows_pruned,
        "code": job.unknown_code or status.code,
        "lastExecution": execution_json(last),
        "lastSuccessfulExecution": execution_json(good) if good else None,
        "lastSuccessfulExecutionWithExports": execution_json(exports) if exports else None,
        "progress": _progress_json(job, now=now),
        "quarantine": _quarantine_json(status.quarantine) if status.quarantine else None,
        "steadyStateFirstAchievedTime": moment(status.steady_state_first_achieved),
        "steadyStateLastAchievedTime": moment(status.steady_state_last_achieved),
        "synchronizedEntryCountByType": [],
        "troubleshootingUrl": "",
    }
    if job.counts_absent == "missing":
        del answer["synchronizedEntryCountByType"]
    elif job.counts_absent is None and status.entries is not None:
        answer["synchronizedEntryCountByType"] = [{"key": "User to User", "value": status.entries}]
    return answer


def _progress_json(job: Job, *, now: datetime) -> list[Row]:
    if job.cycle is None:
        return []
    return [
        {
            "completedUnits": job.cycle.done,
            "progressObservationDateTime": moment(now),
            "totalUnits": len(job.cycle.users),
            "units": "Users",
        },
    ]


def execution_json(execution: Execution | None) -> Row:
    """A job that has never run says Failed, in the year 1, with the error None."""
    run = execution
    return {
        "activityIdentifier": str(uuid5(NAMESPACE_URL, moment(run.began))) if run else None,
        "countEntitled": run.entitled if run else 0,
        "countEntitledForProvisioning": run.entitled if run else 0,
        "countEscrowed": run.escrowed if run else 0,
        "countEscrowedRaw": run.escrowed if run else 0,
        "countExported": run.exported if run else 0,
        "countExports": run.exported if run else 0,
        "countImported": run.imported if run else 0,
        "countImportedDeltas": run.imported if run else 0,
        "countImportedReferenceDeltas": 0,
        "state": run.state if run else "Failed",
        "timeBegan": moment(run.began if run else None),
        "timeEnded": moment(run.ended if run else None),
        "error": error_json(run.error if run else _NO_ERROR),
    }


def _quarantine_json(quarantine: Quarantine) -> Row:
    return {
        "currentBegan": moment(quarantine.current_began),
        "nextAttempt": moment(quarantine.next_attempt),
        "reason": quarantine.reason,
        "seriesBegan": moment(quarantine.series_began),
        "seriesCount": quarantine.series_count,
        "error": error_json(quarantine.error),
    }


def error_json(error: JobError | None) -> Row | None:
    return None if error is None else to_builtins(error)
