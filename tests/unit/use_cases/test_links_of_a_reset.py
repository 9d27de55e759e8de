"""The links of a reset's subjects through its whole life: in the rows, the answer, a dry run."""

from datetime import timedelta

from shared.adapters.notifiers.tickets import message_of
from shared.domain.errors import FateUnknown, Throttled
from shared.domain.links import ProvisioningEntry
from shared.domain.requests import Ticket
from shared.domain.reset import State
from tests.support.world import START, World

ADELE, UPN = "cea097b7-2680-50c3-84bf-94c9323d3363", "adele@contoso.com"
OLD, NEW = "0051OLD", "0051NEW"
TICKET = Ticket(system="desk", id="INC1")


def world() -> World:
    made = World()
    made.links.add(UPN, ADELE)
    before = START - timedelta(days=1)
    made.links.entries = [
        ProvisioningEntry(source_id=ADELE, source_type="User", target_id=OLD, at=before)
    ]
    return made


def matched(made: World, target: str) -> None:
    """The new cycle matches the user to this account."""
    at = made.clock()
    made.links.entries.append(
        ProvisioningEntry(
            source_id=ADELE, source_type="User", target_id=target, at=at, status="success"
        )
    )


async def ended(made: World) -> None:
    made.clock.forward(minutes=10)
    made.graph.end_cycle()
    await made.look()


async def test_the_ticket_hears_both_ids_of_a_user_who_was_linked_anew() -> None:
    made = world()
    await made.ask(subjects=(UPN,))
    made.clock.forward(minutes=5)
    matched(made, NEW)

    await ended(made)

    row = await made.row()
    (link,) = await made.storage.store().links(row)
    assert row.state is State.COMPLETED
    assert (link.verdict, link.before, link.after) == ("relinked", OLD, NEW)


async def test_a_user_who_is_matched_to_the_old_account_again_is_told_why_and_what_to_do() -> None:
    made = world()
    await made.ask(subjects=(UPN,))
    made.clock.forward(minutes=5)
    matched(made, OLD)

    await ended(made)

    (link,) = await made.storage.store().links(await made.row())
    assert link.verdict == "still_linked"
    assert "userPrincipalName (adele@contoso.com) equals its Username" in link.evidence
    assert link.remedy.startswith(f"change Username of account {OLD}")


async def test_a_dry_run_says_what_the_link_is_and_what_to_change_first() -> None:
    made = world()

    await made.ask(subjects=(UPN,), dry_run=True)

    row = await made.row()
    assert row.state is State.PREVIEWED
    assert f"{UPN}: linked to {OLD} (provisioning log)" in row.detail
    assert "userPrincipalName (adele@contoso.com) = Username" in row.detail
    assert f"change Username of account {OLD} first" in row.detail


async def test_a_look_up_that_always_fails_delays_the_end_by_ten_minutes_and_spoils_nothing() -> (
    None
):
    made = world()
    for call in ("mappings", "provisioning_page"):
        made.links.failures[call] = [FateUnknown("Graph is down")] * 500
    await made.ask(subjects=(UPN,))

    await ended(made)
    for _ in range(60):
        made.clock.forward(seconds=15)
        await made.look()

    row = await made.row()
    (link,) = await made.storage.store().links(row)
    assert row.state is State.COMPLETED
    assert len(made.graph.restarts) == 1
    assert link.verdict == "unknown"


async def test_a_joined_request_has_the_links_of_its_own_subjects_judged() -> None:
    made = world()
    await made.ask("r1")
    await made.accept("r2", subjects=(UPN,))
    made.clock.forward(minutes=5)
    matched(made, NEW)

    await ended(made)
    await made.quiesce()

    joined = await made.row("r2")
    assert joined.state in {State.JOINED, State.WAITING, State.RESTARTED}


async def test_a_waiting_request_has_its_links_looked_up_while_it_waits() -> None:
    made = world()
    await made.ask("r1")
    await ended(made)
    made.links.calls.clear()

    await made.ask("r2", subjects=(UPN,))

    (link,) = await made.storage.store().links(await made.row("r2"))
    assert (await made.row("r2")).state is State.WAITING
    assert link.before == OLD
    assert "Username" in link.matching


async def test_a_dry_run_waits_for_a_look_up_that_fails_and_then_tells_the_link() -> None:
    made = world()
    made.links.failures["provisioning_page"] = [Throttled("429", retry_after=timedelta(minutes=2))]
    await made.ask(subjects=(UPN,), dry_run=True)
    waiting = await made.row()

    made.clock.forward(minutes=2, seconds=1)
    await made.look()

    row = await made.row()
    assert waiting.state is State.WAITING
    assert "being looked up" in waiting.detail
    assert row.state is State.PREVIEWED
    assert f"linked to {OLD}" in row.detail


async def test_a_dry_run_whose_look_up_never_succeeds_says_so_after_ten_minutes() -> None:
    made = world()
    made.links.failures["mappings"] = [FateUnknown("Graph is down")] * 500
    await made.ask(subjects=(UPN,), dry_run=True)

    for _ in range(60):
        made.clock.forward(seconds=15)
        await made.look()

    row = await made.row()
    assert row.state is State.PREVIEWED
    assert "Not all links could be looked up: Graph is down" in row.detail


async def test_the_ticket_of_a_dry_run_hears_the_link_and_what_to_change_first() -> None:
    made = world()

    await made.ask(subjects=(UPN,), dry_run=True, ticket=TICKET)
    await made.quiesce()

    told = message_of(made.desk.delivered[-1]).text
    assert f'"{UPN}": linked to {OLD} (provisioning log)' in told
    assert f"change Username of account {OLD} first, if it still equals {UPN}" in told


async def test_joined_requests_wait_for_their_turn_at_the_log_and_all_get_their_verdict() -> None:
    made = world()
    ids = [f"r{n}" for n in range(2, 14)]
    await made.accept("r1")
    for each in ids:
        await made.accept(each, subjects=(UPN,))
    await made.look("r1")
    made.clock.forward(minutes=5)
    matched(made, NEW)
    await ended(made)

    for _ in range(40):
        made.clock.forward(seconds=15)
        for each in ids:
            await made.look(each)

    for each in ids:
        row = await made.row(each)
        (link,) = await made.storage.store().links(row)
        assert row.state is State.JOINED
        assert (link.verdict, link.before, link.after) == ("relinked", OLD, NEW)
