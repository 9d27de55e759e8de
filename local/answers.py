"""
Write docs/use/answers.md: what a ticket reads in every state, in the words of the code itself.

Each example is the facts of a reset, put through the templates that the app uses.
"""

from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.domain.evidence_permissions import how_to_grant
from shared.domain.links import (
    LinkSource,
    MatchingAttribute,
    ProvisioningEntry,
    StoredLink,
    judge_link,
)
from shared.domain.reset import NotificationKind, Reset, State, WaitingFor
from shared.domain.ticket_facts import Facts, LinkFact, take_facts
from shared.domain.ticket_words import compose

NOW: Final = datetime(2026, 11, 26, 15, 48, tzinfo=UTC)
_PAGES: Final = "https://relink.contoso.com"
_RESET: Final = Reset(
    id="desk.INC0012345-1",
    target="salesforce-prod",
    requested_at=NOW - timedelta(minutes=1),
    requested_by="hd.jones@contoso.com",
    reason="Adele's Salesforce user was created again; Entra keeps the deactivated one",
    subjects=("adele.vance@contoso.com",),
    expected_minutes="1-4",
    before='{"id": "job", "readAt": "2026-11-26T15:48:00Z", "counts": {"User": 52}}',
    sequence=3,
)
_RAN: Final[dict[str, Any]] = {"restarted_at": NOW - timedelta(minutes=3), "finished_at": NOW}
_OLD: Final = "0055e000001aOLDAA2"
_NEW: Final = "0055e000001bNEWAA2"
_USERNAME: Final = MatchingAttribute(
    priority=1, source="userPrincipalName", target="Username", value="adele.vance@contoso.com"
)


def _judged(target: str = "", **row: Any) -> LinkFact:
    """The verdict on a row of the log with these members; on no row at all without any."""
    user, began = "adele.vance@contoso.com", NOW - timedelta(minutes=3)
    origin = LinkSource.PROVISIONING_LOG
    before = StoredLink(source_id=user, target_id=_OLD, at=began, origin=origin)
    entry = ProvisioningEntry(
        source_id=user, source_type="User", target_id=target, at=NOW - timedelta(minutes=1), **row
    )
    found = judge_link(
        before,
        [entry] if target or row else [],
        user,
        restarted_at=began,
        matching=[_USERNAME],
    )
    return LinkFact(
        subject=user,
        verdict=str(found.verdict),
        before=found.before,
        after=found.after,
        why=found.evidence,
        remedy=found.remedy,
    )


_LINKS: Final[dict[str, LinkFact]] = {
    "relinked": _judged(_NEW, status="success"),
    "still_linked": _judged(_OLD, status="skipped", error_code="RedundantExport"),
    "created": _judged(_NEW, status="success", action="create"),
    "not_seen": _judged(),
    "not_seen, out of scope": _judged(status="skipped", error_code="NotEffectivelyEntitled"),
    "unknown, the entry failed": _judged(status="failure", error_code="DuplicateTargetEntries"),
    "unknown, a permission is missing": LinkFact(
        subject="adele.vance@contoso.com",
        verdict="unknown",
        why="the provisioning logs cannot be read: " + how_to_grant("ProvisioningLog.Read.All"),
    ),
}


def _facts(
    kind: NotificationKind,
    state: State,
    *,
    by: str = "",
    why: str = "",
    links: tuple[LinkFact, ...] = (),
    sign_in: bool = True,
    approvers: int = 1,
    **changes: Any,
) -> Facts:
    return take_facts(
        replace(_RESET, state=state, **changes),
        kind,
        at=NOW,
        by=by,
        why=why,
        links=links,
        public_url=_PAGES,
        sign_in=sign_in,
        approvers=approvers,
    )


def _waits(waiting_for: WaitingFor, hours: float, **changes: Any) -> Facts:
    return _facts(
        NotificationKind.WAITING,
        State.WAITING,
        waiting_for=waiting_for,
        due_at=NOW + timedelta(hours=hours),
        **changes,
    )


def _ended(state: State, **changes: Any) -> Facts:
    return _facts(NotificationKind.END, state, **changes)


def examples() -> list[tuple[str, Facts]]:
    """A title and the facts of each moment that a ticket may hear of."""
    asks: dict[str, Any] = {
        "due_at": NOW + timedelta(hours=24),
        "before": "",
        "expected_minutes": "",
    }
    return [
        ("accepted", _facts(NotificationKind.ACCEPTED, State.ACCEPTED)),
        (
            "accepted, for a change window",
            _facts(NotificationKind.ACCEPTED, State.ACCEPTED, not_before=NOW + timedelta(hours=5)),
        ),
        ("waiting, cooldown", _waits(WaitingFor.COOLDOWN, 24)),
        (
            "waiting, another restart of the job",
            _waits(WaitingFor.OTHER, 1, behind="desk.INC0012300-1"),
        ),
        ("waiting, change window", _waits(WaitingFor.WINDOW, 5)),
        ("waiting, budget", _waits(WaitingFor.BUDGET, 8.2)),
        (
            "waiting, switched off",
            _waits(
                WaitingFor.SWITCH,
                0.25,
                detail="resets are switched off (RESETS_ENABLED is not `true`)",
            ),
        ),
        (
            "waiting, Microsoft Graph",
            _waits(
                WaitingFor.GRAPH,
                1,
                detail="Microsoft Graph answered 403; the app's identity needs "
                "Synchronization.ReadWrite.All on Microsoft Graph",
            ),
        ),
        (
            "awaiting_approval",
            _facts(
                NotificationKind.AWAITING_APPROVAL,
                State.AWAITING_APPROVAL,
                detail="20,400 entries are managed; above 20,000 needs an approval",
                **asks,
            ),
        ),
        (
            "awaiting_approval, where nobody can sign in",
            _facts(
                NotificationKind.AWAITING_APPROVAL,
                State.AWAITING_APPROVAL,
                detail="this target always needs an approval",
                sign_in=False,
                **asks,
            ),
        ),
        (
            "awaiting_approval, which nobody could give",
            _facts(
                NotificationKind.AWAITING_APPROVAL,
                State.AWAITING_APPROVAL,
                detail="the job is in quarantine (TooManyDeletes): it holds back a mass deletion",
                questions=("quarantine:TooManyDeletes",),
                sign_in=False,
                **asks,
            ),
        ),
        (
            "unknown, a person is asked",
            _facts(
                NotificationKind.UNKNOWN,
                State.UNKNOWN,
                sent_at=NOW - timedelta(minutes=30),
                **asks,
            ),
        ),
        ("restarted", _facts(NotificationKind.RESTARTED, State.RESTARTED, restarted_at=NOW)),
        (
            "completed, links not looked up",
            _ended(State.COMPLETED, outcome="completed", **_RAN),
        ),
        (
            "completed, some entries failed",
            _ended(
                State.COMPLETED,
                outcome="completed",
                after='{"id": "job", "readAt": "2026-11-26T15:48:00Z", "counts": {"User": 52}, '
                '"lastExecution": {"state": "EntryLevelErrors", "escrowed": 15}}',
                **_RAN,
            ),
        ),
        *(
            (
                f"completed, link {title}",
                _ended(State.COMPLETED, outcome="completed", links=(link,), **_RAN),
            )
            for title, link in _LINKS.items()
        ),
        ("joined", _ended(State.JOINED, leader="desk.INC0012300-1", outcome="completed")),
        (
            "joined, and it failed",
            _ended(
                State.JOINED,
                leader="desk.INC0012300-1",
                outcome="quarantined",
                detail="the job went into quarantine after the restart: Unknown",
            ),
        ),
        (
            "failed, quarantine",
            _ended(
                State.FAILED,
                outcome="quarantined",
                detail="the job went into quarantine after the restart: "
                "EncounteredQuarantineException (SalesforceInvalidCredentials: INVALID_LOGIN)",
                **_RAN,
            ),
        ),
        (
            "failed, not taken",
            _ended(
                State.FAILED,
                outcome="rejected by Graph",
                detail="Microsoft Graph answered 400 InvalidRestartJobRequest",
            ),
        ),
        (
            "failed, fate unknown",
            _ended(
                State.FAILED,
                outcome="fate unknown",
                detail="fate unknown: nobody said in time whether the restart happened",
            ),
        ),
        (
            "failed, not ended in time",
            _ended(
                State.FAILED,
                outcome="not ended in time",
                detail="the initial cycle did not end in the time expected",
                **_RAN,
            ),
        ),
        (
            "refused",
            _ended(
                State.REFUSED,
                detail="the job is NotConfigured; set it up and start it in the portal first",
            ),
        ),
        (
            "rejected",
            _ended(
                State.REJECTED,
                by="boss@contoso.com",
                why="quarter end; ask again on Monday",
                detail="rejected (signed in): quarter end; ask again on Monday",
            ),
        ),
        ("cancelled", _ended(State.CANCELLED, by="hd.jones@contoso.com", detail="cancelled")),
        ("expired", _ended(State.EXPIRED, detail="nobody approved it in time")),
        ("previewed", _ended(State.PREVIEWED, dry_run=True, detail="dry run: would be sent now")),
    ]


def page() -> str:
    """The whole of docs/use/answers.md."""
    parts = [_HEAD]
    for title, facts in examples():
        parts.append(f"## {title}\n\n```text\n{compose(facts).text}\n```\n")
    return "\n".join(parts)


_HEAD: Final = """# Answers: what a ticket reads

Made from the code (`python -m local.documents`), each as a ticket with plain text shows it.
Teams, Slack, Jira and Freshservice lay out the same parts in their own way
([notifiers.md](notifiers.md)).
One line says what happened and begins with the time, one says when, one what to do next.
What is for the identity team is marked as such.
The link comes last of our own words.
What a stranger wrote is quoted after it, cut to 200 characters.
"""
