"""Odd but legal answers, by name: of jobs, of the two logs, and whole answers as faults."""

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest

from local.emulator import Emulator
from local.emulator.odd_answers import ODD_ANSWERS, OddAnswer
from local.emulator.odd_jobs import JOB_ODDITIES, JobOddity
from local.emulator.odd_logs import AUDIT_ODDITIES, ROW_ODDITIES, AuditOddity, RowOddity
from local.emulator.scopes import PORTAL
from local.emulator.values import State
from local.http_client import http_client
from tests.emulator.emulator_support import APP, JOB_PATH, emulated, tenant

LIST = f"/v1.0/servicePrincipals/{APP}/synchronization/jobs"
AUDIT = "/v1.0/auditLogs/directoryAudits"
LOG = "/v1.0/auditLogs/provisioning"
QUARANTINED = {
    "code": "Quarantine",
    "quarantine": {"reason": "Unknown"},
    "lastExecution": {
        "began": "2026-11-02T07:00:00Z",
        "ended": "2026-11-02T07:01:00Z",
        "state": "EntryLevelErrors",
        "escrowed": 15,
    },
    "entries": 1201,
}


async def get(emulator: Emulator, path: str, **params: str) -> Any:
    async with http_client(emulator.url) as http:
        return (await http.get(path, params=params)).json()


def at(path: str) -> Callable[[Any], Any]:
    def found(row: Any) -> Any:
        for name in path.split("/"):
            row = row[int(name)] if name.isdigit() else row[name]
        return row

    return found


COUNTS = "status/synchronizedEntryCountByType"


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("annotations", f"{COUNTS}/0/@odata.type", "microsoft.graph.stringKeyLongValuePair"),
        ("countsAreTrue", f"{COUNTS}/0/value", True),
        ("countsAsFloats", f"{COUNTS}/0/value", 1201.0),
        ("countsAsText", f"{COUNTS}/0/value", "1201"),
        ("countsNull", f"{COUNTS}/0/value", None),
        ("countsTwice", f"{COUNTS}/1/value", 601),
        ("countsWithoutValue", f"{COUNTS}/0", {"key": "User to User"}),
        ("emptyDates", "status/quarantine/nextAttempt", ""),
        ("nullLists", COUNTS, None),
        ("numbersAsText", "status/lastExecution/countEscrowed", "15"),
        ("otherCase", "status/code", "QUARANTINE"),
        ("overflowingOffset", "schedule/expiration", "9999-12-31T23:59:59-08:00"),
        ("reasonList", "status/quarantine/reason", "TooManyDeletes, Unknown"),
        ("succeededDespiteFailures", "status/lastExecution/state", "Succeeded"),
        ("timeEndedIsNoDate", "status/lastExecution/timeEnded", "yesterday"),
        ("underflowingOffset", "status/quarantine/nextAttempt", "0001-01-01T00:00:00+08:00"),
        ("unknownWords", "schedule/state", "BrandNew"),
        ("usDate", "schedule/expiration", "12/31/9999 11:59:59 PM"),
        ("usDates", "status/lastExecution/timeBegan", "11/2/2026 7:00:00 AM"),
        ("withoutExecution", "status/lastExecution", None),
        ("yearOneBegan", "status/lastExecution/timeBegan", "0001-01-01T00:00:00Z"),
    ],
)
async def test_a_job_is_written_oddly(name: str, path: str, value: object) -> None:
    state = tenant(status=QUARANTINED, oddities=[name])
    async with emulated(state) as emulator:
        alone = await get(emulator, JOB_PATH)
        listed = (await get(emulator, LIST))["value"][0]

    assert at(path)(alone) == at(path)(listed) == value


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("withoutQuarantine", ("status", "quarantine")),
        ("withoutSchedule", ("schedule",)),
        ("withoutStatus", ("status",)),
    ],
)
async def test_a_member_of_a_job_is_missing(name: str, path: tuple[str, ...]) -> None:
    async with emulated(tenant(status=QUARANTINED, oddities=[name])) as emulator:
        row = await get(emulator, JOB_PATH)

    *outer, last = path
    for member in outer:
        row = row[member]
    assert last not in row


async def test_progress_tells_more_than_the_total() -> None:
    async with emulated(tenant(oddities=["moreDoneThanTotal"])) as emulator:
        emulator.clock.advance(1201)
        (unit,) = (await get(emulator, JOB_PATH))["status"]["progress"]

    assert (unit["completedUnits"], unit["totalUnits"]) == (14, 10)


async def test_oddities_come_together_and_a_misspelt_one_is_refused_by_name() -> None:
    async with emulated(tenant(oddities=["countsAsText", "usDate"])) as emulator:
        row = await get(emulator, JOB_PATH)
        async with http_client(emulator.url) as http:
            job = {"id": JOB_PATH.rpartition("/")[2], "oddities": ["usDat"]}
            change = {"servicePrincipals": [{"id": APP, "jobs": [job]}]}
            refused = await http.put("/_emulator/state", json=change)

    assert isinstance(row["status"]["synchronizedEntryCountByType"][0]["value"], str)
    assert row["schedule"]["expiration"] == "12/31/9999 11:59:59 PM"
    assert refused.status == 400
    assert "usDat" in refused.text


def audited(*names: AuditOddity) -> State:
    state = tenant()
    state.audit_oddities = list(names)
    state.audit_delay = 0
    return state


async def restarts_told(emulator: Emulator) -> list[dict[str, Any]]:
    async with http_client(emulator.url) as http:
        await http.post(f"{JOB_PATH}/restart", json={"criteria": {"resetScope": "Full"}})
        query = {
            "$filter": "activityDisplayName eq 'Enable/restart provisioning configuration' and "
            f"targetResources/any(t:t/id eq '{APP}')"
        }
        value: list[dict[str, Any]] = (await http.get(AUDIT, params=query)).json()["value"]
    return value


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("dateThatIsNone", "activityDateTime", "11/24/2026 9:00:00 AM"),
        ("initiatorWithoutId", "initiatedBy/app/servicePrincipalId", None),
        ("noInitiator", "initiatedBy", None),
        ("targetWithoutId", "targetResources/0/id", ""),
    ],
)
async def test_an_audit_row_is_written_oddly(name: AuditOddity, path: str, value: object) -> None:
    async with emulated(audited(name)) as emulator:
        (row,) = await restarts_told(emulator)

    assert at(path)(row) == value


async def test_other_activities_come_only_where_the_filter_is_ignored() -> None:
    async with emulated(audited("otherActivities")) as emulator:
        obeyed = await restarts_told(emulator)
    async with emulated(audited("otherActivities", "filterIgnored")) as emulator:
        ignored = await restarts_told(emulator)

    assert [row["activityDisplayName"] for row in obeyed] == [
        "Enable/restart provisioning configuration"
    ]
    assert {row["activityDisplayName"] for row in ignored} > {"Export"}


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("connectorPrefix", "provisioningStatusInfo/errorInformation/errorCode", "SalesforceX"),
        ("flatStatus", "statusInfo/errorCode", "X"),
        ("otherWordsCase", "provisioningSteps/0/provisioningStepType", "Import"),
        ("principalInList", "servicePrincipal/0/id", APP),
        ("sameSecond", "activityDateTime", "2026-11-02T08:00:00Z"),
    ],
)
async def test_a_provisioning_row_is_written_oddly(
    name: RowOddity, path: str, value: object
) -> None:
    state = tenant()
    state.provisioning_log_oddities = [name]
    state.users[0].fails = True
    async with emulated(state) as emulator:
        directory = emulator.directory
        sp = directory.state.service_principals[0]
        directory.restart(sp, sp.jobs[0], PORTAL)
        emulator.clock.advance(200)
        found = (await get(emulator, LOG, **{"$filter": "sourceIdentity/id eq 'ann'"}))["value"]

    (row,) = found
    text = json.dumps(at(path)(row)).replace("InvalidProperty", "X")
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (JOB_ODDITIES, JobOddity),
        (AUDIT_ODDITIES, AuditOddity),
        (ROW_ODDITIES, RowOddity),
        (ODD_ANSWERS, OddAnswer),
    ],
)
def test_every_name_has_its_oddity(table: dict[str, object], names: Any) -> None:
    assert set(table) == set(get_args(names.__value__))


@pytest.mark.parametrize("name", list(ODD_ANSWERS))
async def test_a_fault_names_a_whole_answer(name: OddAnswer) -> None:
    status, body = ODD_ANSWERS[name]
    async with emulated() as emulator, http_client(emulator.url) as http:
        await http.post("/_emulator/faults", json={"method": "GET", "answer": name})
        odd = await http.get(JOB_PATH)
        usual = await http.get(JOB_PATH)

    assert (odd.status, odd.text) == (status, body)
    assert usual.status == 200


@pytest.mark.parametrize("hint", ["600.5", " 10 ", "Tue, 24 Nov 2026 09:10:00 GMT"])
async def test_retry_after_is_sent_as_it_is_given(hint: str) -> None:
    fault = {"answer": "throttled", "retryAfter": hint}
    async with emulated() as emulator, http_client(emulator.url) as http:
        await http.post("/_emulator/faults", json=fault)
        answer = await http.get(JOB_PATH)

    assert answer.headers["Retry-After"].strip() == hint.strip()


async def test_an_answer_excludes_a_status() -> None:
    async with emulated() as emulator, http_client(emulator.url) as http:
        refused = await http.post("/_emulator/faults", json={"answer": "throttled", "status": 500})

    assert refused.status == 400
