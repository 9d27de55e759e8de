"""
Words that a help-desk agent understands: one template a moment, over facts as data. Pure.

One line says what happened, one when, one what to do next, the link comes last; what is for the
identity team is marked as such.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from shared.domain.reset import NotificationKind, Scope, WaitingFor
from shared.domain.ticket_endings import ended
from shared.domain.ticket_facts import Facts
from shared.domain.ticket_message import Message, Said, duration, moment, reference, sentence, size


def compose(facts: Facts) -> Message:
    """Put the moment into words."""
    said = _said(facts)
    return Message(
        what=f"{moment(facts.at)}: {said.what}",
        when=said.when,
        results=said.results,
        next=said.next,
        team=sentence(said.team),
        reference=reference(facts.id, facts.message),
        link=facts.page,
        quotes=_quotes(facts),
        facts=_table(facts),
    )


def _said(facts: Facts) -> Said:
    match facts.kind:
        case NotificationKind.ACCEPTED:
            return _received(facts)
        case NotificationKind.WAITING:
            return _waits(facts)
        case NotificationKind.AWAITING_APPROVAL:
            return _asks_for_approval(facts)
        case NotificationKind.UNKNOWN:
            return _asks_for_fate(facts)
        case NotificationKind.RESTARTED:
            return _started(facts)
        case NotificationKind.END:
            return ended(facts)
    assert_never(facts.kind)


def _received(facts: Facts) -> Said:
    if facts.dry_run:
        return Said(
            what=f"Received: a dry run for {facts.target}; nothing will be restarted.",
            when="It is answered within minutes.",
            next="Nothing to do.",
        )
    begins = "It starts within minutes, unless a limit or an approval holds it back."
    if facts.not_before is not None and facts.not_before > facts.at:
        begins = f"It starts on {moment(facts.not_before)} at the earliest, as was asked for."
    return Said(
        what=f"Received: {facts.target} will be restarted. {_SCOPES[facts.scope]}",
        when=begins,
        next="Nothing to do; you will hear if it has to wait, and how it ended.",
    )


_SCOPES: Final = {
    Scope.FULL: "Microsoft Entra breaks its links and matches every account again.",
    Scope.QUARANTINE: "Its quarantine is cleared; links stay as they are.",
    Scope.SUBJECTS: "Single users are matched again.",
}


def _waits(facts: Facts) -> Said:
    # Rows of older versions do not say what they wait for.
    why, team, way_out = ("it cannot start yet", True, False)
    if facts.waiting_for:
        why, team, way_out = _WAITS[WaitingFor(facts.waiting_for)]
    if facts.waiting_for == WaitingFor.OTHER and facts.behind:
        why = f"{why} (reset {facts.behind})"
    until = (
        f"It waits until {moment(facts.until)}."
        if facts.until is not None
        else "It starts as soon as that is over."
    )
    then = "Nothing to do; you will hear when it starts."
    if way_out:
        then += " If it cannot wait, an approver can let it go now."
    return Said(
        what=f"Waiting: the restart of {facts.target} has not begun, because {why}.",
        when=until,
        next=then,
        team=facts.detail if team else "",
    )


# Why in words; whether the identity team must read the detail; whether a person can end the wait.
_WAITS: Final[Mapping[WaitingFor, tuple[str, bool, bool]]] = {
    WaitingFor.COOLDOWN: (
        "it was restarted a short while ago, and some time must lie between two restarts",
        False,
        True,
    ),
    WaitingFor.OTHER: (
        "another restart of the same application is under way, and one will do for both",
        False,
        False,
    ),
    WaitingFor.WINDOW: ("the time that was asked for has not come", False, False),
    WaitingFor.BUDGET: ("the number of restarts for today is used up", False, True),
    WaitingFor.SWITCH: ("restarts are switched off at the moment", True, False),
    WaitingFor.GRAPH: (
        "Microsoft Entra cannot be asked, or did not take it, at the moment",
        True,
        False,
    ),
    WaitingFor.PERSON: ("a person must decide first", True, False),
}


def _asks_for_approval(facts: Facts) -> Said:
    how = (
        "approve or reject it on the page below"
        if facts.page
        else f"approve or reject it with POST /api/resets/{facts.id}/decision and a function key"
    )
    if facts.nobody_can_approve:
        how = (
            "nobody could approve it: two signed-in persons are needed, and nobody can sign in. "
            "Set up sign-in (docs/operate/deploy.md, Options) and ask again; reject it with POST "
            f"/api/resets/{facts.id}/decision and a function key"
        )
    return Said(
        what=f"Waiting for an approval: {facts.target} is restarted only if a person agrees.",
        when=(
            f"A decision is needed by {moment(facts.until)}; without one the request expires."
            if facts.until is not None
            else ""
        ),
        next="Nothing for you to do; who asked for it cannot approve it.",
        team=f"{how}. It needs an approval because: {facts.detail}. {_SCOPES[facts.scope]}"
        f"{size(facts)}",
    )


def _asks_for_fate(facts: Facts) -> Said:
    sent = f" sent on {moment(facts.sent_at)}" if facts.sent_at is not None else ""
    where = (
        "decide on the page below"
        if facts.page
        else f"decide with POST /api/resets/{facts.id}/decision and a function key"
    )
    return Said(
        what=f"Not certain: nobody can tell whether the restart of {facts.target} took place, "
        "because the answer of Microsoft Entra was lost.",
        when=(
            f"A person must look by {moment(facts.until)}; after that the request ends as failed."
            if facts.until is not None
            else ""
        ),
        next="Nothing for you to do; you will hear how it ended.",
        team=f"look in the audit log of Microsoft Entra for `Enable/restart provisioning "
        f"configuration` of this application within two minutes of the restart{sent}. If it is "
        f"there, confirm; if it is not, resend; cancel gives up. Then {where}",
    )


def _started(facts: Facts) -> Said:
    accounts = f"all {facts.accounts:,} accounts" if facts.accounts is not None else "all accounts"
    doing = (
        f"Microsoft Entra is matching {accounts} again"
        if facts.scope is Scope.FULL
        else "Microsoft Entra is running a cycle without the quarantine"
    )
    expected = "How long it takes is not known: minutes to many hours, by the number of accounts."
    if facts.expected_from is not None and facts.expected_to is not None:
        expected = (
            f"It is expected to end between {moment(facts.expected_from)} and "
            f"{moment(facts.expected_to)}."
        )
    return Said(
        what=f"Started: {facts.target} was restarted. {doing}.",
        when=expected,
        next="Nothing to do; you will hear how it ended.",
    )


def _quotes(facts: Facts) -> tuple[tuple[str, str], ...]:
    quoted = facts.quoted
    found = (
        ("Asked for by", quoted.requested_by),
        ("Reason given", quoted.reason),
        *(("User asked about", subject) for subject in quoted.subjects),
        ("Decided by", quoted.decided_by),
        ("Reason of the decision", quoted.decision_reason),
    )
    return tuple((label, text) for label, text in found if text)


def _table(facts: Facts) -> tuple[tuple[str, str], ...]:
    """For systems that show facts as a table."""
    found = (
        ("Target", facts.target),
        ("State", facts.state.replace("_", " ")),
        ("Requested", moment(facts.requested_at) if facts.requested_at else ""),
        ("Started", moment(facts.restarted_at) if facts.restarted_at else ""),
        ("Ended", moment(facts.finished_at) if facts.finished_at else ""),
        ("Until", moment(facts.until) if facts.until else ""),
        ("Accounts", f"{facts.accounts:,}" if facts.accounts is not None else ""),
        ("Takes", duration(facts.minutes) if facts.minutes else ""),
        ("Outcome", facts.outcome),
    )
    return tuple((label, value) for label, value in found if value)
