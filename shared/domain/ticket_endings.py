"""
What a ticket reads when its request has ended, for each state that it may have ended in. Pure.

"Done" says whether the links were looked at: that a run has ended well does not show it.
"""

from typing import Final, assert_never

from shared.domain.reset import Scope, State
from shared.domain.ticket_facts import Facts, LinkFact
from shared.domain.ticket_message import IDENTITY_TEAM, Said, moment, sentence, size


def ended(facts: Facts) -> Said:
    match facts.state:
        case State.COMPLETED:
            return _completed(facts)
        case State.JOINED:
            return _joined(facts)
        case State.FAILED:
            return _failed(facts)
        case State.PREVIEWED:
            return Said(
                what=f"Dry run of {facts.target}: nothing was restarted.",
                when=f"{sentence(_without_body(facts.detail))}{size(facts)}",
                results=tuple(map(_link, facts.links)),
                next="Nothing to do. To have it done, ask again without the dry run.",
            )
        case State.REFUSED:
            return Said(
                what=f"Refused: {facts.target} was not restarted.",
                when="It is not tried again by itself.",
                next="Nothing for you to do; the identity team must put the cause right. Ask again "
                "after that.",
                team=facts.detail,
            )
        case State.REJECTED:
            return Said(
                what=f"Rejected: a person decided that {facts.target} is not restarted.",
                when="Nothing was sent.",
                next="Speak to the person who decided, then ask again if it is still needed.",
            )
        case State.CANCELLED:
            return Said(
                what=f"Cancelled: a person withdrew the restart of {facts.target}.",
                when="Nothing was sent.",
                next="Nothing to do; ask again if it is still needed.",
            )
        case State.EXPIRED:
            return Said(
                what=f"Expired: {facts.target} was not restarted.",
                when=sentence(facts.detail),
                next="Ask again if it is still needed.",
            )
        case (
            State.ACCEPTED
            | State.WAITING
            | State.AWAITING_APPROVAL
            | State.SENDING
            | State.UNKNOWN
            | State.RESTARTED
        ):
            # Not an end: the rows contradict each other, and the identity team reads what they say.
            return Said(what=f"{facts.target}: {facts.state}.", team=facts.detail)
    assert_never(facts.state)


def _without_body(detail: str) -> str:
    """The record of a dry run names the call that would be sent; a ticket does not."""
    return detail.partition(". The restart:")[0].removeprefix("dry run: ")


def _completed(facts: Facts) -> Said:
    accounts = f"all {facts.accounts:,} accounts" if facts.accounts is not None else "all accounts"
    what = f"Done: Microsoft Entra has matched {accounts} of {facts.target} again."
    if facts.scope is not Scope.FULL:
        what = f"Done: the quarantine of {facts.target} was cleared, and a cycle has ended well."
    return Said(
        what=what,
        when=_ran(facts),
        results=(*_remarks(facts), *map(_link, facts.links)),
        next=_what_now(facts),
    )


def _ran(facts: Facts) -> str:
    if facts.restarted_at is None or facts.finished_at is None:
        return ""
    return f"It ran from {moment(facts.restarted_at)} to {moment(facts.finished_at)}."


def _remarks(facts: Facts) -> tuple[str, ...]:
    said = []
    if facts.some_entries_failed or facts.failed_entries:
        count = "some accounts" if not facts.failed_entries else f"{facts.failed_entries:,} entries"
        said.append(
            f"{IDENTITY_TEAM}{count} could not be provisioned; the provisioning logs say which, "
            "and why."
        )
    if facts.fewer_accounts:
        said.append(
            f"{IDENTITY_TEAM}{facts.fewer_accounts:,} fewer accounts are managed than before; find "
            "out who is missing."
        )
    return tuple(said)


def _what_now(facts: Facts) -> str:
    if facts.scope is not Scope.FULL:
        return "Nothing to do."
    if facts.links_checked:
        if all(link.verdict == "relinked" for link in facts.links):
            return "Have the user sign in once, then close the ticket."
        return "Do not close the ticket yet: the lines above say who is not linked as wanted."
    who = "the users asked about are" if facts.asked_about_users else "any user is"
    return (
        f"Whether {who} now linked to the right account was NOT checked. Before you close the "
        "ticket, have the identity team look at it under Provisioning, Provision on demand. If a "
        "user is still linked to the old account, that account still carries what accounts are "
        "matched by: rename the old account first, then ask again."
    )


def _link(link: LinkFact) -> str:
    who = f'"{link.subject}"'
    why = f" ({link.why})" if link.why else ""
    match link.verdict:
        case "relinked":
            said = f"relinked, {link.before or 'not known before'} -> {link.after}"
        case "still_linked":
            said = f"STILL LINKED to {link.after or link.before}{why}"
        case "created":
            said = f"a new account was made, {link.after}"
        case "not_seen":
            said = f"not seen in this run (out of scope, not assigned, or not yet){why}"
        case _ if link.known:
            said = link.known
        case _:
            said = f"NOT checked{why}"
    return " ".join(filter(None, (f"{who}: {said}.", sentence(link.remedy))))


def _joined(facts: Facts) -> Said:
    if facts.outcome == "completed":
        return Said(
            what=f"Done by another request: {facts.target} was restarted after yours had come, "
            "and that one restart stands for both.",
            when=f"It ended well: see reset {facts.leader}.",
            results=tuple(map(_link, facts.links)),
            next=_what_now(facts),
        )
    what, _ = _FAILURES.get(facts.outcome, (_FAILED, _TEAM))
    return Said(
        what=f"Failed with another request: {what.format(target=facts.target)}",
        when=f"It did not end well ({facts.outcome or 'outcome not known'}): see reset "
        f"{facts.leader}.",
        next="Nothing for you to do; the identity team has been told. Ask again after that.",
        team=facts.detail,
    )


def _failed(facts: Facts) -> Said:
    what, then = _FAILURES.get(facts.outcome, (_FAILED, _TEAM))
    return Said(
        what=f"Failed: {what.format(target=facts.target)}",
        when=_ran(facts) or "It is not tried again by itself.",
        next=then,
        team=facts.detail,
    )


_TEAM: Final = (
    "Nothing for you to do; the identity team must put the cause right. Ask again after that."
)
_FAILED: Final = "the restart of {target} did not end as it should."
_FAILURES: Final = {
    "quarantined": (
        "{target} was restarted, but Microsoft Entra then stopped its provisioning (quarantine).",
        _TEAM,
    ),
    "paused with pruned errors": (
        "{target} was restarted, but too many accounts failed and its provisioning was paused.",
        _TEAM,
    ),
    "rejected by Graph": ("Microsoft Entra did not take the restart of {target}.", _TEAM),
    "fate unknown": (
        "nobody could tell whether the restart of {target} took place.",
        (
            "Have the identity team look at the user under Provision on demand; ask again if the "
            "link is still the old one."
        ),
    ),
    "not ended in time": (
        "{target} was restarted, but its run was still going on long after its expected end.",
        "Nothing for you to do; the identity team must look at the run. It may still end well.",
    ),
    "job gone": ("the provisioning job of {target} is gone.", _TEAM),
}
