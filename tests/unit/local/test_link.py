"""The link inspector: to which account a user is linked, and what decides a new match."""

import json
from copy import replace
from datetime import timedelta

import pytest

from local.link import Inspection, as_json, as_records, inspect
from local.screen import Screen
from shared.bootstrap import utc_now
from shared.domain.catalogue import Target
from shared.domain.links import ConnectionRead, LinkSource, ProvisioningEntry, StoredLink
from shared.domain.links import ProvisioningStep as Step
from tests.support.graph import FakeGraph, healthy
from tests.support.link_graph import FakeLinkGraph
from tests.support.world import SP

ADELE, UPN = "cea097b7-2680-50c3-84bf-94c9323d3363", "adele@contoso.com"
OLD, NEW = "0051OLD", "0051NEW"
TARGET = Target(service_principal_id=SP)


def graph_with_a_link() -> FakeLinkGraph:
    graph = FakeLinkGraph()
    graph.add(UPN, ADELE)
    at = utc_now() - timedelta(days=1)
    graph.entries = [ProvisioningEntry(source_id=ADELE, source_type="User", target_id=OLD, at=at)]
    return graph


async def inspected(graph: FakeLinkGraph, user: str = UPN, target: Target = TARGET) -> Inspection:
    jobs = FakeGraph(clock=utc_now, job=healthy(utc_now()))
    return await inspect(jobs, graph, "salesforce-prod", target, user)


async def test_one_screen_answers_where_the_old_id_is_kept_and_what_to_change_first() -> None:
    found = await inspected(graph_with_a_link())

    shown = as_records(found).card(Screen(width=80))
    assert f"linked to     {OLD}" in shown
    assert "userPrincipalName (adele@contoso.com) = Username" in shown
    assert "change first  Username of account 0051OLD" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


async def test_where_the_log_names_both_accounts_it_says_what_would_change() -> None:
    graph = graph_with_a_link()
    steps = (
        Step(name="EntryImport", target_id=OLD),
        Step(name="EntryImportByMatchingProperty", target_id=NEW),
    )
    graph.entries = [replace(graph.entries[0], steps=steps)]

    document = json.loads(as_json(await inspected(graph)))

    assert document["linkedTo"] == OLD
    assert f"would link to {NEW}" in document["wouldChange"]
    assert document["changeFirst"] is None


async def test_an_object_id_will_do_without_the_permission_to_read_users() -> None:
    graph = graph_with_a_link()
    graph.users_refused = "a user cannot be read: grant User.Read.All"

    by_id, by_name = await inspected(graph, ADELE), await inspected(graph)

    assert by_id.stored is not None
    assert by_name.stored is None
    assert "User.Read.All" in " ".join(by_name.problems)


@pytest.mark.parametrize("problem", ["", "grant ProvisioningLog.Read.All"])
async def test_a_link_that_cannot_be_read_says_why(problem: str) -> None:
    graph = graph_with_a_link()
    graph.entries, graph.logs_refused = [], problem

    found = await inspected(graph)

    assert found.stored is None
    assert (problem or "no row of the provisioning logs") in " ".join(found.problems)


async def test_an_object_connection_wins_where_the_target_has_them_on() -> None:
    graph = graph_with_a_link()
    link = StoredLink(source_id=ADELE, target_id=NEW, at=None, origin=LinkSource.OBJECT_CONNECTION)
    graph.connections[ADELE] = ConnectionRead(link=link)

    found = await inspected(graph, target=Target(service_principal_id=SP, object_connections=True))

    assert found.stored == link
