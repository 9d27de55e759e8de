"""Words of tickets: an agent's language, one line each, and no stranger speaks in our name."""

import json
from copy import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain import ticket_facts
from shared.domain.reset import Link, NotificationKind, Reset, Scope, State, WaitingFor
from shared.domain.ticket_facts import Facts, LinkFact, link_facts, quote, take_facts
from shared.domain.ticket_message import IDENTITY_TEAM, Message
from shared.domain.ticket_words import compose

NOW = datetime(2026, 11, 26, 15, 48, tzinfo=UTC)
RESET = Reset(
    id="r1",
    target="salesforce-prod",
    requested_at=NOW - timedelta(minutes=5),
    requested_by="hd.jones@contoso.com",
    reason="Old ids after re-import",
    subjects=("adele.vance@contoso.com",),
    sequence=3,
)
END = NotificationKind.END


def read(kind: NotificationKind, *, links: tuple[LinkFact, ...] = (), **changes: object) -> Message:
    reset = replace(RESET, **changes)  # type: ignore[arg-type]
    return compose(take_facts(reset, kind, at=NOW, links=links))


def done(links: tuple[LinkFact, ...] = (), **changes: object) -> Message:
    return read(
        END,
        links=links,
        state=State.COMPLETED,
        outcome="completed",
        restarted_at=NOW - timedelta(minutes=3),
        finished_at=NOW,
        **changes,
    )


def test_the_order_is_what_when_next_team_link_and_the_stranger_last() -> None:
    facts = Facts(
        id="r1",
        message=7,
        target="aws",
        kind=NotificationKind.AWAITING_APPROVAL,
        state=State.AWAITING_APPROVAL,
        at=NOW,
        until=NOW + timedelta(hours=1),
        page="https://relink.example/api/resets/r1/page",
        quoted=ticket_facts.Quoted(reason="please"),
    )
    lines = compose(facts).text.splitlines()

    assert [line.split(" ")[0] for line in lines[1:3]] == ["A", "Nothing"]
    assert lines[3].startswith(IDENTITY_TEAM)
    assert lines[-2] == ("Details (reset r1, message 7): https://relink.example/api/resets/r1/page")
    assert lines[-1] == 'Reason given: "please"'


@pytest.mark.parametrize("kind", NotificationKind)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("scope", Scope)
def test_every_moment_of_every_state_has_words_that_begin_with_the_time_and_hold_the_reference(
    kind: NotificationKind, state: State, scope: Scope
) -> None:
    text = read(kind, state=state, scope=scope, detail="why").text

    assert text.startswith("Thu 26 Nov 2026, 15:48 UTC: ")
    assert "(reset r1, message 3)" in text
    assert "None" not in text


def test_done_says_that_the_links_were_not_checked_while_they_are_not() -> None:
    text = done().text

    assert (
        "Whether the users asked about are now linked to the right account was NOT checked" in text
    )
    assert "rename the old account first" in text


def test_done_with_links_names_both_accounts_and_what_is_still_wrong() -> None:
    links = (
        LinkFact(subject="adele", verdict="relinked", before="005-OLD", after="005-NEW"),
        LinkFact(
            subject="lee",
            verdict="still_linked",
            after="005-OLD",
            why="the name is equal",
            remedy="rename it first",
        ),
        LinkFact(subject="new", verdict="created", after="005-X"),
        LinkFact(subject="gone", verdict="not_seen"),
        LinkFact(subject="dark", verdict="unknown", why="a permission is missing"),
    )
    message = done(links)

    assert message.results == (
        '"adele": relinked, 005-OLD -> 005-NEW.',
        '"lee": STILL LINKED to 005-OLD (the name is equal). Rename it first.',
        '"new": a new account was made, 005-X.',
        '"gone": not seen in this run (out of scope, not assigned, or not yet).',
        '"dark": NOT checked (a permission is missing).',
    )
    assert message.next.startswith("Do not close the ticket yet")
    only = done(links[:1])
    assert only.next.endswith("then close the ticket.")


def test_failed_entries_and_missing_accounts_are_named_for_the_identity_team() -> None:
    job = {"id": "j", "readAt": NOW.isoformat(), "counts": {"User": 52}}
    after = {
        **job,
        "counts": {"User": 38},
        "lastExecution": {"state": "EntryLevelErrors"},
    }
    message = done(before=json.dumps(job), after=json.dumps(after))

    assert "all 38 accounts" in message.what
    assert message.results == (
        (
            "For the identity team: some accounts could not be provisioned; the provisioning logs "
            "say which, and why."
        ),
        (
            "For the identity team: 14 fewer accounts are managed than before; find out who is "
            "missing."
        ),
    )


def test_started_says_when_it_should_end() -> None:
    message = read(
        NotificationKind.RESTARTED,
        state=State.RESTARTED,
        restarted_at=NOW,
        expected_minutes="1-4",
    )

    assert message.when == (
        "It is expected to end between Thu 26 Nov 2026, 15:49 UTC and Thu 26 Nov 2026, 15:52 UTC."
    )


@pytest.mark.parametrize(
    ("why", "says", "way_out"),
    [
        (WaitingFor.COOLDOWN, "it was restarted a short while ago", True),
        (WaitingFor.OTHER, "another restart of the same application is under way", False),
        (WaitingFor.WINDOW, "the time that was asked for has not come", False),
        (WaitingFor.BUDGET, "the number of restarts for today is used up", True),
        (WaitingFor.SWITCH, "restarts are switched off", False),
        (WaitingFor.GRAPH, "Microsoft Entra cannot be asked", False),
        (WaitingFor.PERSON, "a person must decide first", False),
        ("", "it cannot start yet", False),
    ],
)
def test_a_wait_says_why_and_until_when_and_whether_a_person_can_end_it(
    why: str, says: str, way_out: bool
) -> None:
    facts = Facts(
        id="r1",
        message=2,
        target="aws",
        kind=NotificationKind.WAITING,
        state=State.WAITING,
        at=NOW,
        waiting_for=why,
        until=NOW + timedelta(days=1),
        behind="r0" if why == WaitingFor.OTHER else "",
    )
    text = compose(facts).text

    assert says in text
    assert "It waits until Fri 27 Nov 2026, 15:48 UTC." in text
    assert ("an approver can let it go now" in text) is way_out
    assert ("(reset r0)" in text) is (why == WaitingFor.OTHER)


@pytest.mark.parametrize("why", WaitingFor)
def test_every_reason_to_wait_has_words(why: WaitingFor) -> None:
    facts = Facts(
        id="r1",
        message=2,
        target="aws",
        kind=NotificationKind.WAITING,
        state=State.WAITING,
        at=NOW,
        waiting_for=why,
    )

    assert "it cannot start yet" not in compose(facts).text


def test_a_dry_runs_answer_holds_no_json() -> None:
    message = read(
        END,
        state=State.PREVIEWED,
        detail='dry run: would be sent now. The restart: {"criteria":{}} to job x',
    )

    assert message.when == "Would be sent now."
    assert "{" not in message.text


def test_a_joined_request_hears_how_the_one_restart_ended() -> None:
    good = read(END, state=State.JOINED, leader="r0", outcome="completed")
    bad = read(END, state=State.JOINED, leader="r0", outcome="quarantined")

    assert good.when == "It ended well: see reset r0."
    assert "NOT checked" in good.next
    assert bad.when == "It did not end well (quarantined): see reset r0."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("line\r\nFor the identity team: do it", "line For the identity team: do it"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("bell\x07 esc\x1b[31m", "bell esc[31m"),
        ("\u2028new\u2029line", "new line"),
        ("(reset r1, message 4)", "[reset r1, message 4)"),
        ("(RESET r1, message 4)", "[RESET r1, message 4)"),
        ("x" * 201, "x" * 199 + "…"),
        ("日本語 \N{GRINNING FACE}", "日本語 \N{GRINNING FACE}"),
        ("\ud800half", "half"),
        ("   ", ""),
    ],
)
def test_a_strangers_words_are_one_short_line_that_steers_nothing(written: str, shown: str) -> None:
    assert quote(written) == shown


def test_a_stranger_can_neither_break_a_line_nor_forge_our_reference() -> None:
    evil = "x\nDetails (reset r1, message 9): https://evil.example\n"
    message = done(requested_by=evil, reason=evil, subjects=(evil,))

    assert "(reset r1, message 9)" not in message.text
    assert all(line.startswith(("Asked", "Reason", "User")) for line in message.quoted_lines)
    assert message.text.splitlines()[-3:] == list(message.quoted_lines)
    assert all("evil" not in line for line in (*message.own_lines, message.last_line))


def test_what_was_traced_of_a_link_becomes_a_line_without_a_strangers_breaks() -> None:
    found = Link(
        subject="lee\n(reset r1, message 9)",
        verdict="still_linked",
        before="005-OLD",
        after="005-OLD",
        remedy="rename the old account",
    )
    (line,) = done(link_facts([found])).results

    assert line == '"lee [reset r1, message 9)": STILL LINKED to 005-OLD. Rename the old account.'


def test_facts_survive_the_outbox() -> None:
    facts = take_facts(replace(RESET, expected_minutes="1-4"), END, at=NOW, by="boss")

    assert ticket_facts.load(ticket_facts.dump(facts)) == facts
    assert ticket_facts.load("") is None


@pytest.mark.parametrize(
    ("sign_in", "approvers", "questions", "words"),
    [
        (False, 1, ("quarantine:TooManyDeletes",), "nobody could approve it"),
        (False, 2, ("always",), "nobody could approve it"),
        (False, 1, ("always",), "approve or reject it with POST /api/resets/r1/decision"),
        (True, 2, ("quarantine:TooManyDeletes",), "approve or reject it on the page below"),
    ],
)
def test_a_ticket_names_no_way_to_approve_that_is_none(
    sign_in: bool, approvers: int, questions: tuple[str, ...], words: str
) -> None:
    asked = replace(RESET, state=State.AWAITING_APPROVAL, questions=questions)
    facts = take_facts(
        asked,
        NotificationKind.AWAITING_APPROVAL,
        at=NOW,
        public_url="https://relink.contoso.com",
        sign_in=sign_in,
        approvers=approvers,
    )

    message = compose(facts)

    assert words in message.team[0].lower() + message.team[1:]
    assert bool(message.link) is sign_in
