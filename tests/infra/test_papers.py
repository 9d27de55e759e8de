"""The runbook, the deployment guide and the threat model name what is deployed."""

import re

import pytest

from local.bicep import INFRA, ROOT
from local.deployment.permissions import OPTIONAL
from shared.domain.deciders import DECISIONS
from shared.telemetry import EVENTS

from .alerting import rules
from .templates import Deployment

DOCS = ROOT / "docs" / "operate"
PAPERS = ("deploy.md", "runbook.md", "threat-model.md")
RUNBOOK = (DOCS / "runbook.md").read_text(encoding="utf-8")
DEPLOY = (DOCS / "deploy.md").read_text(encoding="utf-8")

# What an operator has to be told of: issue, and the alert that tells it.
MUST_BE_TOLD = {
    "a reset failed": "reset-failed",
    "a reset waits for a person": "reset-awaiting-approval",
    "the fate of a restart is unknown": "fate-unknown",
    "a message is poison or unreadable": "message-lost",
    "the sweep gives no heartbeat": "sweep-silent",
    "remediation gives no heartbeat": "remediation-silent",
    "Graph throttles": "graph-throttled",
    "the permission in Graph is lost": "graph-permission-lost",
}


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_everything_that_needs_a_person_has_an_alert() -> None:
    assert set(MUST_BE_TOLD.values()) <= set(rules())


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert set(sections(RUNBOOK)) == set(rules())


@pytest.mark.parametrize("scenario", ["default", "everything"])
def test_every_alert_leads_to_its_section_and_to_people(scenario: str) -> None:
    deployed = Deployment(scenario)
    people = deployed.only("Microsoft.Insights/actionGroups")
    where = {
        "default": "docs/operate/runbook.md",
        "everything": "https://docs.example.com/relink/runbook",
    }

    assert people["properties"]["emailReceivers"]
    for name, rule in rules(scenario).items():
        link = f"{where[scenario]}#{name}"
        assert rule["description"].endswith(link)
        assert rule["actions"]["customProperties"] == {"runbook": link}
        assert rule["actions"]["actionGroups"] == [people["id"]]
        assert rule["enabled"] is (scenario == "default")


def test_every_severity_is_the_one_that_the_runbook_says() -> None:
    said = {
        name: int(match[1])
        for name, text in sections(RUNBOOK).items()
        if (match := re.search(r"\*Severity (\d)", text))
    }

    assert said == {name: rule["severity"] for name, rule in rules().items()}


def test_a_rule_looks_back_further_than_from_one_look_to_the_next() -> None:
    """Rows come late; one at the edge of two windows must be in one of them."""
    minutes = {"PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT2H": 120, "P2D": 2880}
    for name, rule in rules().items():
        every, window = minutes[rule["evaluationFrequency"]], minutes[rule["windowSize"]]
        assert window >= 2 * every, name
        assert rule["autoMitigate"] is True


def test_the_runbook_names_events_and_decisions_that_exist() -> None:
    kinds = {event.split(".")[0] for event in EVENTS}
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", RUNBOOK))
    decided = set(re.findall(r"`(approve|reject|cancel|confirm|resend)`", RUNBOOK))

    assert {n for n in named if n.split(".")[0] in kinds} <= set(EVENTS)
    assert decided == set(DECISIONS)


def test_deploy_explains_every_variable_that_a_deployment_reads() -> None:
    read = {
        name
        for path in [*INFRA.glob("*.bicepparam"), *INFRA.glob("graph/*.bicepparam")]
        for name in re.findall(r"readEnvironmentVariable\('([A-Z_]+)'", path.read_text("utf-8"))
    }
    explained = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)*)\b", DEPLOY))

    assert read
    assert read <= explained
    assert OPTIONAL.keys() <= explained


def test_every_output_that_deploy_reads_is_one() -> None:
    outputs = Deployment("default").outputs.keys()
    read = set(re.findall(r"get-value ([A-Z_]+)", DEPLOY)) - {"NAME"}

    assert read
    assert read <= outputs


@pytest.mark.parametrize("paper", PAPERS)
def test_every_file_that_a_paper_names_is_there(paper: str) -> None:
    text = (DOCS / paper).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http|#)([^)#]+)", text)
    files = re.findall(r"(?<![\w/.-])((?:infra|local|shared|docs)/[\w./-]+\.\w+)", text)

    assert all((DOCS / link).exists() for link in links)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_every_section_that_a_paper_links_to_is_there(paper: str) -> None:
    text = (DOCS / paper).read_text(encoding="utf-8")

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(sections(text))


def test_the_workbook_shows_queries_of_ours_and_nothing_else() -> None:
    (book,) = Deployment("default").of_type("Microsoft.Insights/workbooks")
    shown = re.findall(r'"query":"((?:[^"\\]|\\.)*)"', book["properties"]["serializedData"])
    ours = {path.read_text(encoding="utf-8") for path in (INFRA / "queries").iterdir()}

    assert len(shown) == 8
    assert {query.encode().decode("unicode_escape") for query in shown} <= ours
