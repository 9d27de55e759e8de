"""Answers: who hears of what, once, whatever the ticket system does."""

import json
from datetime import timedelta

import pytest

from shared.domain.errors import FateUnknown, NotDelivered, ReceiverGone, Undeliverable
from shared.domain.pace import Terms
from shared.domain.requests import Ticket
from shared.domain.reset import NotificationKind, State
from shared.names import NOTIFICATIONS_QUEUE
from shared.web.respond import respond
from tests.support.calls import call
from tests.support.host import Host
from tests.support.storage import Message
from tests.support.world import SP, TARGET, World


def ticket(number: str = "INC1") -> Ticket:
    return Ticket(system="desk", id=number)


async def finished(world: World, request_id: str = "r1") -> None:
    world.clock.forward(minutes=10)
    world.graph.end_cycle()
    await world.look(request_id)
    await world.quiesce()


async def test_a_ticket_hears_of_its_acceptance_and_its_end() -> None:
    world = World()
    await world.ask(ticket=ticket())
    await finished(world)

    assert world.told() == [("r1", "accepted"), ("r1", "end")]
    last = world.desk.delivered[-1]
    assert (last.ticket_id, last.state) == ("INC1", State.COMPLETED)
    assert last.text.startswith("Tue 24 Nov 2026, 09:10 UTC: Done: Microsoft Entra has matched")
    assert world.answers() == []


async def test_without_a_ticket_the_targets_notifier_hears() -> None:
    world = World()
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": SP, "notify": "desk"}}))
    await world.ask()
    await world.quiesce()

    assert world.told() == [("r1", "accepted")]


async def test_a_ticket_of_a_system_that_is_not_configured_costs_nothing_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await world.ask(ticket=Ticket(system="unknown", id="1"))
    await finished(world)

    assert world.told() == []
    assert world.answers() == []
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line for line in said if line.startswith("answer.unheard") and "unknown" in line]


async def test_a_notifier_hears_only_of_the_moments_that_it_wants() -> None:
    world = World()
    world.rebuild(
        NOTIFIERS=json.dumps({"desk": {"kind": "webhook", "url": "https://d", "on": ["end"]}})
    )
    await world.ask(ticket=ticket())
    await finished(world)

    assert world.told() == [("r1", "end")]


SENDERS = {
    "WEBHOOK_SECRETS": json.dumps({"hr": ["a-long-enough-secret"], "it": ["another-long-secret"]}),
    "WEBHOOK_SENDERS": json.dumps(
        {
            "hr": {"scheme": "github", "targets": [TARGET]},
            "it": {"scheme": "github", "targets": [TARGET], "notifiers": ["desk"]},
        }
    ),
}


@pytest.mark.parametrize(
    ("via", "heard"),
    [("queue", True), ("api", True), ("webhook:it", True), ("webhook:hr", False)],
)
async def test_a_sender_writes_only_to_its_own_notifiers(
    via: str, heard: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.rebuild(**SENDERS)
    await world.accept("r1", via=via, ticket=ticket())
    await world.quiesce()

    assert bool(world.told()) is heard
    unheard = [r for r in caplog.records if r.getMessage().startswith("answer.unheard")]
    assert bool(unheard) is not heard
    assert bool((await world.row()).warnings) is not heard
    assert list((await world.health())["unheard"]) == ([] if heard else [via])


async def test_a_ticket_that_hears_nothing_is_told_of_in_the_answer_the_record_and_health() -> None:
    world = World()
    world.rebuild(**SENDERS)
    asked: dict[str, object] = {"target": TARGET, "requestId": "r1"}
    asked["ticket"] = {"system": "nobody", "id": "1"}

    first, again = [await respond(world.app.api.submit_reset, call(asked)) for _ in range(2)]
    await world.deliver()
    read = await respond(world.app.api.get_reset, call(reset_id="r1"))
    listed = await respond(world.app.api.list_resets, call())
    health = await world.health()

    warning = (
        "ticket.system: there is no notifier nobody; the ticket hears nothing of this reset "
        "(NOTIFIERS)"
    )
    assert json.loads(first.body)["warnings"] == json.loads(again.body)["warnings"] == [warning]
    # The intent has been written meanwhile: it stays.
    assert (await world.row()).state is State.RESTARTED
    assert json.loads(read.body)["warnings"] == [warning]
    assert json.loads(listed.body)["value"][0]["warnings"] == [warning]
    assert health["unheard"] == {"api": {"count": 1, "lastAt": "2026-11-24T09:00:00+00:00"}}
    assert any("name a ticket that hears nothing" in each for each in health["problems"])


async def test_a_storm_of_such_tickets_writes_one_row_a_minute() -> None:
    world = World()
    for n in range(50):
        await world.accept(f"r{n}", ticket=Ticket(system="nobody", id="1"))
    counts = world.app.runs.acceptance.unheard
    assert (await world.health())["unheard"]["queue"]["count"] == 1
    world.clock.forward(minutes=1)
    await counts.add("queue")

    assert (await world.health())["unheard"]["queue"]["count"] == 51


async def test_a_row_of_that_count_that_cannot_be_written_fails_no_request() -> None:
    world = World()
    await world.accept("r0")
    log_before = len(world.faults.log)
    await world.accept("r1", ticket=Ticket(system="nobody", id="1"))
    last = world.faults.log[log_before:]
    assert last[-2:] == ["table read", "table insert"]

    other = World()
    await other.accept("r0")
    other.faults.at, other.faults.kind = other.faults.count + len(last), "503"
    accepted = await other.accept("r1", ticket=Ticket(system="nobody", id="1"))

    assert not accepted.known


async def test_the_targets_own_notifier_hears_beside_the_ticket_whoever_asks() -> None:
    world = World()
    entry = {"servicePrincipalId": SP, "jobId": "job-1", "notify": "other"}
    both = {name: {"kind": "webhook", "url": f"https://{name}"} for name in ("desk", "other")}
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: entry}), NOTIFIERS=json.dumps(both), **SENDERS)
    await world.accept("r1", via="webhook:hr", ticket=ticket())
    await world.accept("r2", via="webhook:it", ticket=ticket())
    await finished(world, "r1")
    await finished(world, "r2")

    assert {a.id for a in world.desk.delivered} == {"r2"}
    others = [a for a in world.other.delivered if a.kind is NotificationKind.END]
    assert [(a.id, a.ticket_id) for a in others] == [("r1", "")]


async def test_a_ticket_system_that_the_target_names_hears_only_where_it_has_a_ticket() -> None:
    world = World()
    entry = {"servicePrincipalId": SP, "jobId": "job-1", "notify": "other"}
    system = {"kind": "servicenow", "url": "https://sn.example", "user": "relink"}
    secrets = {"NOTIFIER_SECRETS": json.dumps({"other": {"password": "hush"}})}
    catalogue = {"RESET_TARGETS": json.dumps({TARGET: entry})}
    world.rebuild(NOTIFIERS=json.dumps({"other": system}), **secrets, **catalogue)
    await world.ask("r1", dry_run=True)
    await world.quiesce()
    assert world.other.delivered == []

    own = {**system, "ticket": "CHG0030001"}
    world.rebuild(NOTIFIERS=json.dumps({"other": own}), **secrets, **catalogue)
    await world.ask("r2", dry_run=True)
    await world.quiesce()
    assert [(a.id, a.ticket_id) for a in world.other.delivered] == [("r2", "CHG0030001")]


def asking(**environ: str) -> World:
    world = World()
    entry = {"servicePrincipalId": SP, "approval": "always"}
    world.rebuild(RESET_TARGETS=json.dumps({TARGET: entry}), **environ)
    return world


def lines(world: World, kind: NotificationKind) -> list[str]:
    return next(a.text for a in world.desk.delivered if a.kind is kind).splitlines()


async def test_a_person_who_is_asked_reads_what_is_asked_and_why_until_when_and_where() -> None:
    world = asking(PUBLIC_URL="https://relink.example/", WEBSITE_AUTH_ENABLED="True")
    await world.ask(ticket=ticket(), requested_by="ann", reason="wrong Salesforce user")
    await world.quiesce()

    assert lines(world, NotificationKind.AWAITING_APPROVAL) == [
        (
            "Tue 24 Nov 2026, 09:00 UTC: Waiting for an approval: salesforce-prod is restarted "
            "only if a person agrees."
        ),
        "A decision is needed by Wed 25 Nov 2026, 09:00 UTC; without one the request expires.",
        "Nothing for you to do; who asked for it cannot approve it.",
        (
            "For the identity team: Approve or reject it on the page below. It needs an approval "
            "because: this target always needs an approval. Microsoft Entra breaks its links and "
            "matches every account again. That is 50 accounts, which takes 1 to 4 minutes."
        ),
        "Details (reset r1, message 2): https://relink.example/api/resets/r1/page",
        'Asked for by: "ann"',
        'Reason given: "wrong Salesforce user"',
    ]


async def test_where_nobody_can_sign_in_the_text_names_the_call_and_no_page() -> None:
    world = asking(PUBLIC_URL="https://relink.example")
    await world.ask(ticket=ticket())
    await world.quiesce()

    text = "\n".join(lines(world, NotificationKind.AWAITING_APPROVAL))
    assert "with POST /api/resets/r1/decision and a function key" in text
    assert text.endswith("Reference (reset r1, message 2)")
    assert "http" not in text


async def test_who_is_asked_for_a_fate_is_told_where_to_look_and_where_to_say_it() -> None:
    world = World()
    world.rebuild(PUBLIC_URL="https://relink.example", WEBSITE_AUTH_ENABLED="True")
    world.graph.failures["restart"] = [FateUnknown("lost")]
    await world.ask(ticket=ticket())
    for _ in range(6):
        world.clock.forward(minutes=5)
        await world.look()
    await world.quiesce()

    what, when, then, team, link = lines(world, NotificationKind.UNKNOWN)
    assert "nobody can tell whether the restart of salesforce-prod took place" in what
    assert when.startswith("A person must look by Wed 25 Nov 2026, 09:30 UTC")
    assert then.startswith("Nothing for you to do")
    assert "If it is there, confirm; if it is not, resend; cancel gives up" in team
    assert link.endswith("https://relink.example/api/resets/r1/page")


async def joined(world: World, other: str) -> None:
    world.graph.scripted = ["429"]
    await world.ask("r1", ticket=ticket("INC1"))
    await world.ask("r2", ticket=ticket(other))
    world.clock.forward(minutes=1)
    await world.look("r1")
    await finished(world)


async def test_a_joined_request_on_its_leaders_ticket_gets_no_comment_of_its_own() -> None:
    world = World()
    await joined(world, "INC1")

    assert (await world.row("r2")).state is State.JOINED
    assert ("r2", "end") not in world.told()


async def test_a_joined_request_on_another_ticket_is_told() -> None:
    world = World()
    await joined(world, "INC2")

    assert ("r2", "end") in world.told()


async def test_a_ticket_system_that_is_down_repeats_no_reset_and_loses_no_answer() -> None:
    world = World()
    world.desk.down_until = world.clock() + timedelta(hours=3)
    await world.ask(ticket=ticket())
    await finished(world)
    while world.answers():
        world.clock.forward(minutes=10)
        await world.quiesce()

    assert sorted(world.told()) == [("r1", "accepted"), ("r1", "end")]
    assert len(world.graph.restarts) == 1


async def given_up(world: World) -> None:
    world.desk.down_until = world.clock() + timedelta(days=20)
    await world.ask(ticket=ticket(), dry_run=True)
    for _ in range(240):
        world.clock.forward(hours=1)
        await world.quiesce()


async def test_three_days_after_its_first_try_an_answer_is_given_up_and_the_reset_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await given_up(world)

    assert world.answers() == []
    told = [e.detail for e in await world.events() if "undeliverable" in e.detail]
    assert told == [
        "undeliverable: the answer (accepted) to desk INC1",
        "undeliverable: the answer (end) to desk INC1",
    ]
    assert len(world.keys("undelivered")) == 2
    alerts = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert [line for line in alerts if line.startswith("answer.undeliverable")]
    assert (await world.health())["answers"] == {"undeliverable": 2}


async def test_what_was_given_up_is_sent_again_once_the_desk_is_back() -> None:
    world = World()
    await given_up(world)
    world.desk.down_until = world.clock()

    assert len(await world.resend()) == 2
    await world.quiesce()

    assert sorted(world.told()) == [("r1", "accepted"), ("r1", "end")]
    assert world.keys("undelivered") == []
    assert await world.resend() == []
    assert (await world.health())["answers"] == {"undeliverable": 0}


async def test_what_no_later_try_would_bring_is_given_up_at_once() -> None:
    world = World()
    world.desk.refuses = Undeliverable("there is no such ticket")
    await world.ask(ticket=ticket(), dry_run=True)
    await world.quiesce()

    assert world.answers() == []
    assert len(world.keys("undelivered")) == 2


async def test_a_receiver_that_is_gone_is_asked_once_and_again_after_a_resend() -> None:
    world = World()
    world.desk.refuses = ReceiverGone("410")
    await world.ask("r1", ticket=ticket(), dry_run=True)
    await world.ask("r2", ticket=ticket(), dry_run=True)
    await world.quiesce()
    asked = world.desk.tries

    assert asked == 1
    assert len(world.keys("undelivered")) == 4
    world.desk.refuses = None
    await world.resend()
    await world.quiesce()
    assert len(world.told()) == 4


async def test_a_receiver_at_another_address_is_not_gone() -> None:
    world = World()
    world.desk.refuses = ReceiverGone("410")
    await world.ask("r1", ticket=ticket(), dry_run=True)
    await world.quiesce()
    world.desk.refuses = None
    entry = {"kind": "webhook", "url": "https://other.example", "on": ["end"]}
    world.rebuild(NOTIFIERS=json.dumps({"desk": entry}))
    await world.ask("r2", ticket=ticket(), dry_run=True)
    await world.quiesce()

    assert world.told() == [("r2", "end")]


async def test_retry_after_is_kept_and_holds_back_every_answer_of_that_desk() -> None:
    world = World()
    world.desk.refuses = NotDelivered("429", retry_after=timedelta(hours=2))
    await world.ask("r1", ticket=ticket(), dry_run=True)
    await world.quiesce()
    world.desk.refuses = None
    tried = world.desk.tries
    world.clock.forward(minutes=119)
    await world.quiesce()

    assert world.desk.tries == tried
    world.clock.forward(minutes=5)
    await world.quiesce()
    assert len(world.told()) == 2


PACED = {"kind": "webhook", "url": "https://d", "on": ["end"], "perMinute": 1000}


async def test_ten_thousand_answers_go_at_a_steady_pace_and_hold_up_no_other_notifier() -> None:
    world = World()
    entries = {"desk": PACED, "other": {**PACED, "perMinute": 6000}}
    targets = {TARGET: {"servicePrincipalId": SP, "jobId": "job-1"}}
    world.rebuild(NOTIFIERS=json.dumps(entries), RESET_TARGETS=json.dumps(targets))
    count = 10_000
    await world.put_answers("desk", count)
    await world.put_answers("other", 20)

    minutes, before = [], 0
    while len(world.desk.delivered) < count:
        await world.tick()
        minutes.append(len(world.desk.delivered) - before)
        before = len(world.desk.delivered)
        if len(minutes) == 1:
            assert len(world.other.delivered) == 20
        world.clock.forward(minutes=1)

    told = [(a.id, a.n) for a in world.desk.delivered]
    assert len(told) == len(set(told)) == count
    pace = Terms(per_minute=1000)
    assert max(minutes) <= pace.per_minute + pace.burst
    assert len(minutes) <= count / pace.per_minute + 2
    assert world.answers() == []


async def test_of_two_messages_for_one_answer_one_delivers() -> None:
    world = World()
    await world.ask(ticket=ticket(), dry_run=True)
    (key, *_) = world.answers()
    _, _, reset_id, n = key.split(":")
    text = json.dumps({"target": TARGET, "id": reset_id, "n": int(n)})

    await world.app.notify(text.encode())
    await world.app.notify(text.encode())

    assert len(world.desk.delivered) == 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", 1),
        ("[]", 1),
        ('{"n": 1}', 1),
        # These name a reset: its due row says again what is to be delivered.
        ('{"id": "x"}', 0),
        ('{"target": 1, "id": "x", "n": 1}', 0),
    ],
)
async def test_a_notification_that_names_no_answer_ends_as_poison_and_is_kept_or_covered(
    text: str, kept: int
) -> None:
    world = World()
    queue = world.storage.queues[NOTIFICATIONS_QUEUE]
    queue.messages["m"] = Message("m", text, world.clock())

    await Host(world).until_quiet()

    assert len(world.unreadable()) == kept
    assert all(not q.messages for q in world.storage.queues.values())
