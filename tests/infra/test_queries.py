"""The queries: right for Kusto, true to what the app logs, and right in what they let through."""

import json
import logging
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.bicep import INFRA, ROOT
from shared.adapters.graph.answers import Answer
from shared.adapters.graph.errors import fault
from shared.config import Settings
from shared.domain.errors import GraphError, NotSent
from shared.domain.reset import Reset, State
from shared.telemetry import EVENTS, emit
from shared.use_cases.job_calls import log_failure

from .alerting import RELINK_EVENTS, TABLES, Workspace, declared, rules, written
from .templates import MAIN_SCENARIOS, Deployment

QUERIES = {path.stem: path.read_text(encoding="utf-8") for path in (INFRA / "queries").iterdir()}
EVENT = re.compile(r'"((?:' + "|".join(sorted({e.split(".")[0] for e in EVENTS})) + r")\.[a-z_]+)")


def events_of(query: str) -> set[str]:
    """The events that a query names, and those with a prefix that it names."""
    named = set(EVENT.findall(query))
    # What asks for a state asks for every event that has one.
    if "isnotempty(State)" in query:
        named |= {f"reset.{state}" for state in State if f"reset.{state}" in EVENTS}
        named.add("reset.fate_asked")
    prefixes = re.findall(r'startswith_cs "([a-z]+\.)"', query)
    return named | {event for event in EVENTS if event.startswith(tuple(prefixes))}


def documented_fields() -> dict[str, set[str]]:
    text = (ROOT / "docs" / "operate" / "events.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| [A-Z]+ \| .* \| ([^|]*) \|$", text, re.MULTILINE)
    return {event: set(re.findall(r"\w+", fields)) for event, fields in rows}


BROKEN = {
    "column": "AppTraces | where Mesage == 'x'",
    "table": "AppTrace | count",
    "operator": "AppTraces | summarise count()",
    "function": "AppTraces | extend x = parse_jason(Message)",
    "unfinished": "AppTraces | where Message matches regex",
    "column of the function": declared("RelinkEvents() | where Evnt == 'x'"),
}


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What the language service says of every query, and of some that are broken on purpose."""
    asked = {name: declared(text) for name, text in QUERIES.items()} | BROKEN
    asked["relink-events"] = RELINK_EVENTS
    done = subprocess.run(
        ["node", str(Path(__file__).parent / "kusto.cjs")],
        input=json.dumps({"tables": TABLES, "queries": asked}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", [*sorted(QUERIES), "relink-events"])
def test_the_language_service_finds_nothing(said: dict[str, Any], name: str) -> None:
    assert said[name]["findings"] == []


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_the_language_service_would_find(said: dict[str, Any], name: str) -> None:
    assert said[name]["findings"]


def test_every_column_that_a_rule_splits_or_measures_by_is_one(said: dict[str, Any]) -> None:
    by_text = {text: said[name]["columns"] for name, text in QUERIES.items()}

    for name, rule in rules().items():
        (criterion,) = rule["criteria"]["allOf"]
        used = {dimension["name"] for dimension in criterion["dimensions"]}
        if criterion["metricMeasureColumn"]:
            used.add(criterion["metricMeasureColumn"])
        assert used <= set(by_text[criterion["query"]]), name


def test_the_function_has_one_row_a_line_of_the_app_and_no_other(said: dict[str, Any]) -> None:
    workspace = Workspace()
    with written() as lines:
        for event in EVENTS:
            emit(event, id="r-1", target="aws", detail='it said {"error": "x"}')
    workspace.take([*lines, "Request URL: 'https://x'", "azure.core says {", "Reset.failed {}"])
    rows = workspace.ask("RelinkEvents()")

    assert [row["Event"] for row in rows] == list(EVENTS)
    assert list(rows[0]) == said["relink-events"]["columns"]
    assert {(row["Id"], row["Target"], row["Detail"]) for row in rows} == {
        ("r-1", "aws", 'it said {"error": "x"}')
    }
    assert {row["State"] for row in rows} - {""} == {
        str(state) for state in State if f"reset.{state}" in EVENTS
    }
    notes = {row["Event"] for row in rows if row["Event"].startswith("reset.") and not row["State"]}
    assert notes == {"reset.progress", "reset.late_word", "reset.newer_row"}


@pytest.mark.parametrize("scenario", MAIN_SCENARIOS)
def test_the_function_lies_in_the_workspace_that_the_queries_are_asked_of(scenario: str) -> None:
    deployed = Deployment(scenario)
    found = deployed.only("Microsoft.OperationalInsights/workspaces/savedSearches")
    scopes = {scope for rule in rules(scenario).values() for scope in rule["scopes"]}

    assert found["properties"]["functionAlias"] == "RelinkEvents"
    assert found["properties"]["query"] == RELINK_EVENTS
    assert scopes == {found["id"].partition("/savedSearches/")[0]}


def test_no_query_reads_the_lines_by_itself() -> None:
    assert [name for name, text in QUERIES.items() if "AppTraces" in text] == []


def test_every_query_is_deployed() -> None:
    deployed = "".join(
        path.read_text(encoding="utf-8") for path in (INFRA / "modules").glob("*.bicep")
    )
    loaded = set(re.findall(r"loadTextContent\('\.\./queries/([a-z-]+)\.kql'\)", deployed))

    assert loaded == set(QUERIES)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_event_that_a_query_names_is_logged(name: str) -> None:
    named = events_of(QUERIES[name])

    assert named or "AppRequests" in QUERIES[name] or "_LogOperation" in QUERIES[name]
    assert named <= set(EVENTS)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_field_that_a_query_reads_is_documented(name: str) -> None:
    fields = documented_fields()
    documented = set().union(*(fields.get(event, set()) for event in events_of(QUERIES[name])))
    read = re.findall(r"Fields(?:\.|\[\")(\w+)", QUERIES[name])

    assert read or "Fields" not in QUERIES[name]
    assert set(read) <= documented


RESET = Reset(
    id="r-1",
    target="salesforce-prod",
    requested_at=datetime(2026, 11, 25, tzinfo=UTC),
    service_principal_id="8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31",
)


def _made_of(status: int) -> GraphError:
    return fault(Answer(status=status, headers={"retry-after": "7", "date": ""}))


def refused_by_graph(status: int) -> None:
    """What the gateway makes of this answer, logged as the engine does."""
    log_failure(RESET, "restart", _made_of(status))


def without_token() -> None:
    log_failure(RESET, "fetch_token", NotSent("no token for Microsoft Graph: no identity endpoint"))


def bad_setting() -> None:
    for why in Settings.from_environ({}, app_dir=ROOT).problems:
        emit("settings.bad", why=why)


def each(*says: Callable[[], None]) -> Callable[[], None]:
    def one_by_one() -> None:
        for say in says:
            say()

    return one_by_one


def several(times: int, say: Callable[[], None]) -> Callable[[], None]:
    return each(*[say] * times)


def say(event: str, **fields: Any) -> Callable[[], None]:
    return lambda: emit(event, **fields)


OF_A_RESET = {"id": "r-1", "target": "salesforce-prod"}

# Alert -> what makes it fire, and what must not.
FIRES: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
    "reset-failed": (
        say("reset.failed", **OF_A_RESET, outcome="quarantined", detail="in quarantine"),
        say("reset.completed", **OF_A_RESET, outcome="completed", detail="reset.failed {"),
    ),
    "reset-awaiting-approval": (
        say("reset.awaiting_approval", **OF_A_RESET, detail="above 20000"),
        each(
            say("reset.awaiting_approval", **OF_A_RESET, detail="above 20000"),
            say("reset.accepted", **OF_A_RESET, via="queue", scope="full"),
        ),
    ),
    "fate-unknown": (
        say("reset.fate_asked", **OF_A_RESET, detail="nobody can tell"),
        each(
            say("reset.fate_asked", **OF_A_RESET, detail="nobody can tell"),
            say("reset.restarted", **OF_A_RESET, number=1),
        ),
    ),
    "message-lost": (
        say("message.unreadable", key="m-1", queue="provisioning-resets", reason="no JSON"),
        say("message.repeated", **OF_A_RESET, state="restarted"),
    ),
    "answer-undeliverable": (
        say("answer.undeliverable", **OF_A_RESET, notifier="servicenow"),
        say("answer.put_off", **OF_A_RESET, notifier="servicenow", attempts=1, why="503"),
    ),
    "sweep-silent": (lambda: None, say("sweep.done", sent=0)),
    "remediation-silent": (say("sweep.done", sent=0), say("remediate.done", asked=0)),
    "remediation-failed": (
        several(2, say("remediate.failed", target="aws", why="timeout")),
        each(*(say("remediate.failed", target=t, why="timeout") for t in ("a", "b", "c"))),
    ),
    "graph-throttled": (
        several(6, lambda: refused_by_graph(429)),
        several(6, lambda: refused_by_graph(503)),
    ),
    "graph-permission-lost": (
        lambda: refused_by_graph(403),
        each(lambda: refused_by_graph(404), lambda: refused_by_graph(429), without_token),
    ),
    "settings-bad": (bad_setting, say("storage.failed", what="nudge", why="timeout")),
    "storage-failed": (
        several(6, say("storage.failed", what="nudge", why="timeout")),
        several(2, say("sweep.failed", target="aws", why="timeout")),
    ),
    "webhook-refused": (
        several(21, say("webhook.refused", sender="sn", why="signature")),
        each(
            several(5, say("webhook.refused", sender="sn", why="signature")),
            several(30, say("webhook.refused", sender="sn", why="target")),
        ),
    ),
    "function-failed": (lambda: None, lambda: None),
    "logs-capped": (lambda: None, lambda: None),
}
NOT_OURS = {"function-failed", "logs-capped"}
"""What the platform writes, not the app."""


# Said by the invocation itself, which then fails: function-failed.
TOLD_OTHERWISE = {"invocation.cancelled"}


def test_every_event_that_is_an_error_leads_to_an_alert() -> None:
    queries = [rule["criteria"]["allOf"][0]["query"] for rule in rules().values()]
    asked = {event for query in queries for event in events_of(query)}
    errors = {event for event, level in EVENTS.items() if level >= logging.ERROR}

    assert errors - asked == TOLD_OTHERWISE


def test_every_alert_is_tried() -> None:
    assert set(FIRES) == set(rules())


@pytest.mark.parametrize("name", sorted(FIRES.keys() - NOT_OURS))
def test_an_alert_fires_on_what_the_app_says_and_on_nothing_else(name: str) -> None:
    fires, does_not = FIRES[name]
    rule = rules()[name]
    for make, expected in ((fires, True), (does_not, False)):
        workspace = Workspace()
        with written() as lines:
            make()
        workspace.take(lines)
        assert bool(workspace.fired(rule)) is expected, lines


def test_a_cap_that_is_reached_is_an_alert_and_other_notes_of_the_workspace_are_none() -> None:
    quiet, capped = Workspace(), Workspace()
    quiet.take_operation("Ingestion", "Data of AppTraces arrived late.")
    quiet.take_operation("Solution", "OverQuota")
    capped.take_operation("Ingestion", "OverQuota: the daily cap of 1 GB was reached.")

    assert not quiet.fired(rules()["logs-capped"])
    assert capped.fired(rules()["logs-capped"])


def test_a_workspace_that_is_shared_has_the_alert_of_its_owner() -> None:
    assert set(rules()) - set(rules("existing")) == {"logs-capped"}


def test_a_sweep_by_somebody_else_does_not_hide_that_the_timer_is_silent() -> None:
    workspace = Workspace()
    with written() as lines:
        emit("sweep.stood_in", sent=3)
    workspace.take(lines)

    assert workspace.fired(rules()["sweep-silent"])


def test_no_token_again_and_again_is_a_permission_that_is_gone() -> None:
    workspace = Workspace()
    with written() as lines:
        several(3, without_token)()
    workspace.take(lines)

    assert workspace.fired(rules()["graph-permission-lost"]) == [("salesforce-prod",)]


@pytest.mark.parametrize(
    ("status", "times", "alert"), [(403, 1, "graph-permission-lost"), (429, 6, "graph-throttled")]
)
def test_what_graph_refuses_the_timer_counts_too(status: int, times: int, alert: str) -> None:
    workspace, error = Workspace(), _made_of(status)
    with written() as lines:
        several(times, say("remediate.failed", target="aws", why=error.reason))()
    workspace.take(lines)

    assert workspace.fired(rules()[alert])


@pytest.mark.parametrize("alert", ["reset-awaiting-approval", "fate-unknown"])
def test_a_question_is_asked_for_as_long_as_it_stands(alert: str) -> None:
    workspace = Workspace()
    with written() as lines:
        FIRES[alert][0]()
        emit("reset.late_word", **OF_A_RESET, word="x", state="y")
    workspace.take(lines)

    assert rules()[alert]["windowSize"] == "P2D"
    assert workspace.fired(rules()[alert]) == [("salesforce-prod", "r-1")]


@pytest.mark.parametrize("scenario", ["default", "everything"])
def test_a_slow_remediation_runs_often_enough_in_the_window_to_fire(scenario: str) -> None:
    """The schedule is shorter than the silence allowed, of which the window is twice."""
    hours = {"PT1H": 1, "PT2H": 2, "P1D": 24, "P2D": 48}
    silent, failed = (rules(scenario)[f"remediation-{n}"] for n in ("silent", "failed"))
    runs = hours[failed["windowSize"]] // hours[silent["windowSize"]]

    assert runs > failed["criteria"]["allOf"][0]["threshold"]


def test_an_alert_names_the_reset_that_it_is_about() -> None:
    workspace = Workspace()
    with written() as lines:
        for n in (1, 2):
            emit("reset.failed", id=f"r-{n}", target="aws", outcome="x", detail="y")
    workspace.take(lines)

    assert sorted(workspace.fired(rules()["reset-failed"])) == [("aws", "r-1"), ("aws", "r-2")]


def test_failed_invocations_are_counted_a_function() -> None:
    rule, workspace = rules()["function-failed"], Workspace()
    for n in range(6):
        workspace.take_request("run_reset", success=False)
        workspace.take_request("sweep", success=n > 0)

    assert workspace.fired(rule) == [("run_reset",)]


@pytest.mark.parametrize(
    ("code", "fires"), [("404", False), ("401", False), ("500", True), ("0", True), ("", True)]
)
def test_what_a_caller_does_wrong_is_no_failed_invocation(code: str, *, fires: bool) -> None:
    workspace = Workspace()
    for _ in range(6):
        workspace.take_request("submit", success=False, code=code)

    assert bool(workspace.fired(rules()["function-failed"])) is fires


def test_a_detail_with_braces_and_quotes_arrives_whole() -> None:
    workspace, detail = Workspace(), 'it said {"error": "x"} — "quoted"\\'
    with written() as lines:
        emit("reset.failed", id="r-1", target="aws", outcome="x", detail=detail)
    workspace.take(lines)

    assert [row["Detail"] for row in workspace.ask(QUERIES["reset-failed"])] == [detail]


def test_the_workbook_shows_what_waits_until_it_is_decided() -> None:
    workspace = Workspace()
    with written() as lines:
        emit("reset.awaiting_approval", id="r-1", target="aws", detail="above 20000")
        emit("reset.awaiting_approval", id="r-2", target="aws", detail="above 20000")
        emit("reset.late_word", id="r-2", target="aws", word="x", state="y")
        emit("reset.cancelled", id="r-1", target="aws")
        emit("reset.fate_asked", id="r-3", target="aws", detail="nobody can tell")
    workspace.take(lines)
    waiting = workspace.ask(QUERIES["waiting-for-people"])

    assert [(row["Id"], row["Asks"]) for row in waiting] == [
        ("r-2", "approve?"),
        ("r-3", "did it happen?"),
    ]


def test_the_workbook_shows_each_reset_once_with_its_last_state() -> None:
    workspace = Workspace()
    with written() as lines:
        emit("reset.accepted", id="r-1", target="aws", via="queue", scope="full")
        emit("reset.restarted", id="r-1", target="aws", scope="full", number=1)
        emit("reset.progress", id="r-1", target="aws", progress="10 of 52")
        emit("reset.accepted", id="r-2", target="aws", via="queue", scope="full")
    workspace.take(lines)
    shown = {row["Id"]: row["State"] for row in workspace.ask(QUERIES["resets"])}

    assert shown == {"r-1": "restarted", "r-2": "accepted"}


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_query_can_be_asked_of_an_empty_workspace(name: str) -> None:
    rows = Workspace().ask(QUERIES[name])

    assert rows == ([{"Beats": 0}] if name.endswith("-silent") else [])
