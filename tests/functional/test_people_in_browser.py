"""
People decide in a real Chromium, on pages of the development host, over the Graph emulator.

One browser and one storage serve all tests, and a host for each person: Ann asks, the boss decides,
and on the last one nobody can sign in. What would take hours to come about is put into the rows.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from copy import replace
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from local import processes
from local.http_client import http_client
from shared.domain.approvals import MASS_DELETION
from shared.domain.reset import (
    OPEN,
    Claim,
    HistoryEntry,
    Link,
    Notification,
    NotificationKind,
    Reset,
    State,
    WaitingFor,
)
from tests.functional.stack import AWS, SALESFORCE, SERVICENOW, Stack, storage_and_graph
from tests.functional.test_remediation_live import quarantine
from tests.support.browser import AXE, CHROMIUM, Browser, browser

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs a Chromium in the PATH (apt-get install chromium)"
    ),
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core (npm ci in local/)"),
]

AWS_JOBS: Final = [
    "aws.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.b0a43127-9b44-5d81-aaff-d7510ac2b027",
    "aws.b7c2f0a45d1e4f639a8b2c4d6e8f0a1b.2d2dca70-8785-54ea-a700-336ff22a0afa",
]
NOWHERE: Final = "00000000-0000-4000-8000-{:012d}"
SHOWN: Final = 16
"""Targets that nothing is sent to: each has one reset to look at, or to stop."""

TARGETS: Final[dict[str, dict[str, Any]]] = {
    "salesforce-prod": {
        "servicePrincipalId": SALESFORCE,
        "approval": "always",
        "cooldown": "PT0S",
    },
    "servicenow": {"servicePrincipalId": SERVICENOW},
    "aws-1": {"servicePrincipalId": AWS, "jobId": AWS_JOBS[0]},
    "aws-2": {"servicePrincipalId": AWS, "jobId": AWS_JOBS[1]},
    **{f"shown-{n}": {"servicePrincipalId": NOWHERE.format(n)} for n in range(SHOWN)},
}
LOOKS: Final = [(360, False), (360, True), (1280, False), (1280, True)]
NOW: Final = datetime.now(UTC)
LATER: Final = NOW + timedelta(hours=20)
JOB: Final = json.dumps(
    {
        "id": "job",
        "readAt": NOW.isoformat(),
        "code": "Active",
        "scheduleState": "Active",
        "counts": {"User": 12480, "Group": 20},
        "lastExecution": {"state": "EntryLevelErrors", "escrowed": 15},
    }
)


def played(name: str, *roles: str) -> str:
    return json.dumps({"name": name, "roles": [f"Resets.{role}" for role in roles]})


@dataclass
class People:
    """One host for each person, over one storage."""

    stack: Stack
    ann: str
    boss: str
    nobody: str
    tab: Browser
    folder: Path

    async def clean(self, name: str) -> None:
        """The page that is open has nothing that axe objects to, and fits every screen."""
        for width, dark in LOOKS:
            await self.tab.look_as(width=width, dark=dark)
            found = await self.tab.violations()
            shade = "dark" if dark else "light"
            await self.tab.photograph(self.folder / f"{name}-{width}-{shade}.png")
            assert found == [], f"{name} at {width}, {shade}: {found}"
            assert await self.tab.width() <= width, f"{name} is wider than {width}"

    async def put(self, reset_id: str, target: str, state: State, **columns: Any) -> Reset:
        """Put a reset into the rows in this state, as the Head of its job where it is open."""
        store, entry = self.stack.store, TARGETS[target]
        await store.remember_target(target, at=NOW)
        reset = Reset(
            id=reset_id,
            target=target,
            service_principal_id=entry["servicePrincipalId"],
            job_id=entry.get("jobId", ""),
            requested_at=NOW - timedelta(minutes=40),
            requested_by="hd.jones@contoso.com",
            via="webhook:servicenow",
            reason="Adele's Salesforce user was created again",
            ticket_system="servicenow",
            ticket_id="INC0012345",
            ticket_url="https://contoso.service-now.com/INC0012345",
            subjects=("adele.vance@contoso.com",),
            state=State.ACCEPTED,
            sequence=1,
            due_at=LATER,
            seen_number=0,
            before=JOB,
            expected_minutes="125-1000",
        )
        await store.claim(
            Claim(id=reset_id, target=target, requested_at=reset.requested_at, content_hash="x")
        )
        told = "received (webhook:servicenow)"
        first = HistoryEntry(
            sequence=1, at=reset.requested_at, state=State.ACCEPTED, by="relink", detail=told
        )
        written = await store.insert(reset, first, ())
        is_open = state in OPEN
        after = replace(
            written.row,
            state=state,
            sequence=2,
            due_at=LATER if is_open else None,
            finished_at=None if is_open else NOW,
            **columns,
        )
        job = await store.read_job(target)
        head = replace(job.row, head=reset_id if is_open else "", number=after.number or 0)
        event = HistoryEntry(
            sequence=2, at=NOW, state=state, by="relink", detail=after.detail or str(state)
        )
        return (await store.commit(written, after, job=(job, head), event=event)).row

    async def page(self, host: str, reset_id: str) -> str:
        await self.tab.open(f"{host}/api/resets/{reset_id}/page")
        return await self.tab.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def them(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("pictures")
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(storage_and_graph())
        environ = {**stack.environ, "RESET_TARGETS": json.dumps(TARGETS)}
        who = (played("ann", "Request", "Approve"), played("boss", "Approve", "Request"), "")
        hosts = await asyncio.gather(
            *(
                opened.enter_async_context(processes.host({**environ, "LOCAL_PRINCIPAL": each}))
                for each in who
            )
        )
        ann, boss, nobody = (url for _, url in hosts)
        tab = await opened.enter_async_context(browser(folder / "profile"))
        yield People(stack=stack, ann=ann, boss=boss, nobody=nobody, tab=tab, folder=folder)


async def test_a_mass_deletion_takes_two_different_persons(them: People) -> None:
    await quarantine(them.stack, MASS_DELETION)
    await them.stack.ask("mass")
    asked = await them.stack.reached("mass", State.AWAITING_APPROVAL)
    assert MASS_DELETION in asked.detail

    await them.page(them.ann, "mass")
    await them.tab.press("Approve")
    first = await them.tab.text()
    await them.page(them.boss, "mass")
    await them.tab.press("Approve")
    ended = await them.stack.ended("mass")

    assert "1 of 2 given" in first
    assert ended.state is State.COMPLETED


async def test_one_asks_and_is_refused_another_approves_and_it_runs_to_its_end(
    them: People,
) -> None:
    tab = them.tab
    await tab.open(f"{them.ann}/api/overview")
    await tab.fill("target", "salesforce-prod")
    await tab.fill("reason", "Adele was created again")
    await tab.run("document.querySelector('[name=dryRun]').checked = false")
    await tab.press("Ask")
    reset_id = (await tab.run("location.pathname")).split("/")[3]
    await them.stack.reached(reset_id, State.AWAITING_APPROVAL)

    own = await them.page(them.ann, reset_id)
    await tab.open(f"{them.boss}/api/overview")
    waiting = await tab.text()
    await them.page(them.boss, reset_id)
    await them.clean("asking")
    await tab.fill("reason", "agreed with the owner")
    await tab.press("Approve")
    ended = await them.stack.ended(reset_id)
    text = await them.page(them.boss, reset_id)

    assert "ann asked for this reset and cannot approve it" in own
    assert reset_id in waiting.partition("Open")[0]
    assert ended.state is State.COMPLETED
    assert "approved (signed in): agreed with the owner" in text.lower()
    assert "Completed, links not checked" in text


@pytest.mark.parametrize(
    ("label", "state", "n"), [("Reject", State.REJECTED, 0), ("Cancel", State.CANCELLED, 1)]
)
async def test_a_form_stops_it_and_keeps_the_reason(
    label: str, state: State, n: int, them: People
) -> None:
    reset_id = f"stopped-{n}"
    detail = "this target always needs an approval"
    await them.put(
        reset_id, f"shown-{n}", State.AWAITING_APPROVAL, detail=detail, questions=("always",)
    )
    await them.page(them.boss, reset_id)
    await them.tab.fill("reason", "quarter end; ask again on Monday")
    await them.tab.press(label)
    text = await them.tab.text()
    ended = await them.stack.ended(reset_id)
    await them.clean(label.lower())

    assert ended.state is state
    assert f"{state} (signed in): quarter end; ask again on monday" in text.lower()


async def unknown(them: People, reset_id: str, target: str) -> None:
    await them.put(
        reset_id,
        target,
        State.UNKNOWN,
        operator_asked=True,
        deadline=LATER,
        number=1,
        sent_at=NOW - timedelta(minutes=35),
        snapshot_at=NOW - timedelta(minutes=35),
        client_request_id="c-1",
        detail="a person must say whether the restart happened",
    )


async def test_it_happened_and_its_cycle_is_watched(them: People) -> None:
    await unknown(them, "happened", "aws-1")
    await them.page(them.boss, "happened")
    await them.clean("unknown")
    await them.tab.press("It happened")
    text = await them.tab.text()
    row = await them.stack.until("happened", lambda x: x.restarted_at is not None)

    assert row.state is not State.UNKNOWN
    assert "confirmed" in text.lower() or "happened" in text.lower()


async def test_it_did_not_happen_and_is_sent_again(them: People) -> None:
    await unknown(them, "lost", "aws-2")
    before = len(await them.stack.restarts())
    await them.page(them.boss, "lost")
    await them.tab.press("It did not: send again")
    await them.stack.until("lost", lambda x: x.number == 2)
    await them.stack.until("lost", lambda x: x.restarted_at is not None)

    assert len(await them.stack.restarts()) == before + 1


async def test_to_give_up_ends_it_as_failed(them: People) -> None:
    await unknown(them, "given-up", "shown-2")
    own = await them.page(them.boss, "given-up")
    await them.tab.press("Give up")
    ended = await them.stack.ended("given-up")

    assert "Choose this where neither can be told" in own
    assert (ended.state, ended.outcome) == (State.FAILED, "fate unknown")


async def test_a_wait_for_the_cooldown_is_ended_by_form(them: People) -> None:
    store = them.stack.store
    job = await store.read_job("servicenow")
    row = replace(job.row, last_restart_at=NOW - timedelta(hours=1))
    await store.remember_target("servicenow", at=NOW)
    seed = await them.put("seed", "servicenow", State.CANCELLED)
    stored = await store.find_reset("seed")
    assert stored is not None
    await store.commit(stored, seed, job=(await store.read_job("servicenow"), row))
    await them.stack.ask("cooling", "servicenow")
    await them.stack.reached("cooling", State.WAITING)

    await them.page(them.boss, "cooling")
    await them.clean("cooling")
    await them.tab.press("Let it go now")
    ended = await them.stack.ended("cooling")

    assert ended.state is State.COMPLETED


STATES: Final[list[tuple[State, dict[str, Any]]]] = [
    (State.WAITING, {"waiting_for": WaitingFor.OTHER, "behind": "stopped-0"}),
    (State.RESTARTED, {"restarted_at": NOW, "progress": "4210 of 12500"}),
    (State.COMPLETED, {"outcome": "completed", "restarted_at": NOW, "after": JOB}),
    (State.FAILED, {"outcome": "quarantined", "detail": "the job went into quarantine"}),
    (State.REFUSED, {"outcome": "refused", "detail": "the job is NotConfigured"}),
    (State.EXPIRED, {"outcome": "expired", "detail": "nobody approved it in time"}),
    (State.PREVIEWED, {"dry_run": True, "detail": "dry run: would be sent now"}),
    (State.JOINED, {"outcome": "completed", "leader": "stopped-0"}),
]


@pytest.mark.parametrize(
    ("n", "state", "columns"),
    [(n, *each) for n, each in enumerate(STATES, start=3)],
    ids=[str(state) for state, _ in STATES],
)
async def test_the_page_of_each_state_is_clean(
    n: int, state: State, columns: dict[str, Any], them: People
) -> None:
    reset = await them.put(f"state-{state}", f"shown-{n}", state, **columns)
    link = Link(
        subject="adele.vance@contoso.com",
        verdict="still_linked",
        before="0055e000001aOLDAA2",
        after="0055e000001aOLDAA2",
        evidence="provisioning log: linked to 0055e000001aOLDAA2",
        remedy="rename the old account first, then ask again",
    )
    if state in {State.COMPLETED, State.JOINED}:
        await them.stack.store.write_link(reset, 1, link)

    await them.page(them.boss, reset.id)

    await them.clean(str(state))


async def test_the_overview_is_clean_with_everything_that_may_wait(them: People) -> None:
    store = them.stack.store
    asks = {"detail": "this target always needs an approval", "questions": ("always",)}
    await them.put("still-asking", "shown-12", State.AWAITING_APPROVAL, **asks)
    await store.keep_unreadable(
        "00000000-0000-4000-8000-000000000001",
        b'{"Target": "aws"}',
        reason="Target: unknown property; did you mean target?",
        queue="provisioning-resets",
        at=NOW,
        request_id="net-1",
    )
    answer = Notification(
        id="stopped-0",
        target="shown-0",
        n=2,
        kind=NotificationKind.END,
        notifier="servicenow",
        ticket_id="INC0012345",
        ticket_url="",
        state=State.REJECTED,
        text="rejected",
        at=NOW,
        due_at=NOW,
    )
    await store.keep_undelivered(answer, why="the ticket system answered 404", at=NOW)

    await them.tab.open(f"{them.boss}/api/overview")
    text = await them.tab.text()
    await them.clean("overview")
    await them.tab.open(f"{them.boss}/api/overview?by=ticket&words=INC0012345#found")
    await them.clean("found")

    first = text.partition("Open")[0]
    assert "still-asking" in first
    assert "did you mean target?" in first
    assert "the ticket system answered 404" in first
    assert "make resend" in first


async def test_health_is_a_page_for_who_is_signed_in_and_for_strangers(them: People) -> None:
    await them.tab.open(f"{them.boss}/api/health")
    text = await them.tab.text()
    await them.clean("health")
    await them.tab.open(f"{them.nobody}/api/health")
    poor = await them.tab.text()
    await them.clean("health-poor")

    assert "Timer sweep" in text
    assert "Timer sweep" not in poor


async def test_errors_are_pages_that_say_what_to_do(them: People) -> None:
    tab = them.tab
    asks = {"detail": "this target always needs an approval", "questions": ("always",)}
    await them.put("moves", "shown-13", State.AWAITING_APPROVAL, **asks)
    await them.page(them.boss, "moves")
    stored = await them.stack.store.find_reset("moves")
    assert stored is not None
    await them.stack.store.commit(stored, replace(stored.row, sequence=3, detail="it has moved"))
    await tab.press("Approve")
    moved = await tab.text()
    await them.clean("412")
    # Too late, and without the version that the form would name.
    await tab.run("document.querySelector('[name=seen]').remove()")
    async with http_client(headers={"x-functions-key": "local"}) as client:
        decision = f"{them.ann}/api/resets/moves/decision"
        cancelled = await client.post(decision, json={"decision": "cancel"})
    await tab.press("Approve")
    words = await tab.text()
    await them.clean("409")
    missing = await them.page(them.boss, "no-such-reset")
    await them.clean("404")
    nobody = await them.page(them.nobody, "moves")
    await them.clean("403")

    assert "the reset has changed since it was read" in moved
    assert cancelled.status == 200
    assert "the reset is cancelled and does not allow approve: ann decided at" in words
    assert "no reset no-such-reset" in missing
    assert "Nobody can sign in here" in nobody
    assert "curl" in nobody


async def test_a_post_from_another_site_is_refused(them: People) -> None:
    asks = {"detail": "this target always needs an approval", "questions": ("always",)}
    await them.put("forged", "shown-14", State.AWAITING_APPROVAL, **asks)
    page = f"{them.boss}/api/resets/forged/page"
    answers = []
    async with http_client() as client:
        for headers in (
            {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
            {"origin": them.boss, "sec-fetch-site": "cross-site"},
            {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
            {"origin": "null", "sec-fetch-site": "same-origin"},
            {},
        ):
            answers.append(await client.post(page, data={"decision": "cancel"}, headers=headers))
    # And as a browser sends it: a page of another origin with a form to this one.
    form = (
        f"<form method=post action='{page}'><button name=decision value=cancel>Go</button></form>"
    )
    await them.tab.open(f"{them.nobody}/api/openapi.json")
    await them.tab.run(f"document.documentElement.innerHTML = {json.dumps(form)}; true")
    await them.tab.press("Go")
    text = await them.tab.text()
    row = await them.stack.reset("forged")

    assert [answer.status for answer in answers] == [403] * 5
    assert "was not sent from a page of this app" in text
    assert row is not None
    assert row.state is State.AWAITING_APPROVAL
