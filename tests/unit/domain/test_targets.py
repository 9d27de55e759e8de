"""Lines and catalogue entries of `make targets`."""

import json
from copy import replace
from typing import Any

import pytest

from local.screen import Records
from local.session import state_of
from local.targets import ambiguous, as_json, as_records, entries, lines
from local.tenant import JobsFound, ServicePrincipalJobs
from shared.domain.catalogue import Catalogue, parse_catalogue
from shared.domain.sync_job import Quarantine, SyncJob
from tests.support.graph import healthy
from tests.support.world import START

SP = "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"
OTHER = "c41f7a92-0d6e-4b83-a5f7-6e2c9d1b8f04"


def principal(name: str, *jobs: str, id_: str = SP, problem: str = "") -> ServicePrincipalJobs:
    found = tuple(healthy(START, job_id=job) for job in jobs)
    return ServicePrincipalJobs(id=id_, app_id="", name=name, jobs=found, problem=problem)


def found(*principals: ServicePrincipalJobs) -> JobsFound:
    return JobsFound(service_principals=principals, looked_at=len(principals))


def aliases(*names: str, catalogue: Catalogue | None = None) -> list[str]:
    ids = (f"{n:08d}-0000-4000-8000-000000000000" for n in range(len(names)))
    principals = [principal(name, "j", id_=id_) for name, id_ in zip(names, ids, strict=True)]
    return [line.alias for line in lines(found(*principals), catalogue or {})]


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("Salesforce Production", "salesforce-production"),
        ("  (EU) SAP / R3 ", "eu-sap-r3"),
        ("人事", "target"),
        ("", "target"),
        ("budget", "budget-2"),
        ("x" * 80, "x" * 63),
        ("x" * 62 + " y", "x" * 62),
    ],
)
def test_an_alias_is_made_of_the_name(name: str, alias: str) -> None:
    assert aliases(name) == [alias]


def test_the_same_name_twice_gets_two_aliases() -> None:
    assert aliases("App", "App", "x" * 70, "x" * 70) == ["app", "app-2", "x" * 63, "x" * 61 + "-2"]


def test_every_entry_made_is_one_that_the_catalogue_takes() -> None:
    two = principal("Two jobs", "a", "b", id_=OTHER)
    made = entries(lines(found(principal("One job", "j"), two), {}))

    assert made == {
        "one-job": {"servicePrincipalId": SP},
        "two-jobs": {"servicePrincipalId": OTHER, "jobId": "a"},
        "two-jobs-2": {"servicePrincipalId": OTHER, "jobId": "b"},
    }
    assert set(parse_catalogue(json.dumps(made))) == set(made)


@pytest.mark.parametrize(
    ("entry", "listed"),
    [
        ({"servicePrincipalId": SP}, [False, False]),
        ({"servicePrincipalId": SP.upper(), "jobId": "b"}, [False, True]),
        ({"servicePrincipalId": OTHER}, [False, False]),
    ],
)
def test_what_the_catalogue_lists_keeps_its_alias_and_gets_no_entry(
    entry: dict[str, Any], listed: list[bool]
) -> None:
    catalogue = parse_catalogue(json.dumps({"mine": entry}))
    shown = lines(found(principal("App", "a", "b")), catalogue)

    assert [line.listed for line in shown] == listed
    assert [line.alias for line in shown if line.listed] == ["mine"] * sum(listed)
    assert len(entries(shown)) == 2 - sum(listed)


def test_an_entry_without_job_id_is_listed_only_where_there_is_one_job() -> None:
    catalogue = parse_catalogue(json.dumps({"mine": {"servicePrincipalId": SP}}))
    one, two = found(principal("App", "a")), found(principal("App", "a", "b"))

    assert [line.listed for line in lines(one, catalogue)] == [True]
    assert ambiguous(one, catalogue) == []
    assert ambiguous(two, catalogue) == ["mine"]


def test_an_alias_that_is_taken_by_another_target_is_not_given() -> None:
    catalogue = parse_catalogue(json.dumps({"app": {"servicePrincipalId": OTHER}}))

    assert aliases("App", catalogue=catalogue) == ["app-2"]


def test_the_table_has_a_line_for_each_job_and_for_what_cannot_be_read() -> None:
    all_ = found(principal("Dark", problem="403", id_=OTHER), principal("App", "a", "b"))

    header, *shown = as_records(all_, lines(all_, {})).plain().splitlines()

    assert header.split() == [
        "NAME",
        "OBJECT",
        "ID",
        "JOB",
        "ID",
        "STATE",
        "ENTRIES",
        "ALIAS",
        "LISTED",
    ]
    assert [line.split()[0] for line in shown] == ["App", "App", "Dark"]
    assert "cannot be read" in shown[2]


def test_the_document_for_machines_has_what_the_table_has() -> None:
    all_ = found(principal("Dark", problem="403", id_=OTHER), principal("App", "a"))

    document = json.loads(as_json(all_, lines(all_, {})))

    dark, app = document["servicePrincipals"]
    assert (dark["problem"], dark["jobs"]) == ("403", [])
    assert app["jobs"][0] == {
        "id": "a",
        "templateId": "salesforce",
        "state": "Active",
        "scheduleState": "Active",
        "quarantine": None,
        "quarantinedSince": None,
        "entries": 50,
        "alias": "app",
        "listed": False,
    }
    assert document["catalogue"] == {"app": {"servicePrincipalId": SP}}
    assert document["lookedAt"] == 2


JOB = healthy(START)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (JOB, "Active"),
        (replace(JOB, code=""), "unknown"),
        (replace(JOB, schedule_state=""), "Active, schedule unknown"),
        (replace(JOB, code="Paused", schedule_state="Disabled"), "Paused, schedule Disabled"),
        (
            replace(JOB, code="Quarantine", quarantine=Quarantine(reason="TooManyDeletes")),
            "Quarantine: TooManyDeletes",
        ),
        (
            replace(JOB, quarantine=Quarantine(reason="Unknown", series_began=START)),
            "Quarantine: Unknown since 2026-11-24 09:00 UTC",
        ),
        (
            replace(JOB, code="Quarantine", quarantine=Quarantine()),
            "Quarantine: unknown reason",
        ),
    ],
)
def test_a_jobs_state_in_words(job: SyncJob, words: str) -> None:
    assert state_of(job) == words


def test_columns_are_as_wide_as_what_they_hold() -> None:
    assert (
        Records(header=("A", "B"), rows=[("long cell", ""), ("x", "y")]).plain()
        == "A          B\nlong cell\nx          y"
    )
