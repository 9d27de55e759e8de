"""What a ticket is told, and which ticket hears it. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from shared.domain.catalogue import Catalogue
from shared.domain.reset import Notification, NotificationKind, Reset, Scope

USUAL_MOMENTS: Final = (
    NotificationKind.AWAITING_APPROVAL,
    NotificationKind.UNKNOWN,
    NotificationKind.END,
)

Listeners = Mapping[str, frozenset[NotificationKind]] | None
"""Of each notifier, the moments that it wants to hear of; None while NOTIFIERS is unreadable."""


def answers(
    reset: Reset,
    kind: NotificationKind | None,
    listeners: Listeners,
    catalogue: Catalogue | None,
    *,
    now: datetime,
    public_url: str = "",
) -> tuple[Notification, ...]:
    """The rows that the transaction carries: none where nobody wants to hear of this moment."""
    if kind is None:
        return ()
    notifier = reset.ticket_system or _of_target(reset, catalogue)
    if not notifier or kind not in _wanted(notifier, listeners):
        return ()
    return (
        Notification(
            id=reset.id,
            target=reset.target,
            n=reset.sequence,
            kind=kind,
            notifier=notifier,
            ticket_id=reset.ticket_id,
            ticket_url=reset.ticket_url,
            state=reset.state,
            text=words(reset, kind, public_url=public_url),
            at=now,
            due_at=now,
        ),
    )


def _wanted(notifier: str, listeners: Listeners) -> Collection[NotificationKind]:
    """While NOTIFIERS is unreadable the usual moments are kept, and told once it is put right."""
    if listeners is None:
        return USUAL_MOMENTS
    return listeners.get(notifier, frozenset())


def _of_target(reset: Reset, catalogue: Catalogue | None) -> str:
    target = (catalogue or {}).get(reset.target)
    return target.notify if target is not None else ""


def words(reset: Reset, kind: NotificationKind, *, public_url: str = "") -> str:
    """One paragraph for a help desk; holds the id, by which a delivered answer is found again."""
    parts = [f"Reset {reset.id} of {reset.target}: {reset.state.value.replace('_', ' ')}."]
    if reset.detail:
        parts.append(_sentence(reset.detail))
    if reset.leader:
        parts.append(f"See {reset.leader}.")
    if kind in _QUESTIONS:
        parts.append(_question(reset, kind, public_url))
    return " ".join(parts)


_QUESTIONS: Final = {
    NotificationKind.AWAITING_APPROVAL: "Approve or reject it",
    NotificationKind.UNKNOWN: "Decide confirm, resend or cancel",
}


def _question(reset: Reset, kind: NotificationKind, public_url: str) -> str:
    """What is asked, of whom it came and why, until when, and where; the link carries no key."""
    parts = [f"Asked for: {_SCOPES[reset.scope]}, by {reset.requested_by or reset.via}"]
    if reset.reason:
        parts[0] += f", because: {reset.reason}"
    parts[0] = parts[0].rstrip(".") + "."
    by = f" by {reset.due_at:%Y-%m-%d %H:%M} UTC" if reset.due_at is not None else ""
    at = f": {public_url}/api/resets/{reset.id}/page" if public_url else ""
    parts.append(f"{_QUESTIONS[kind]}{by}{at}")
    return " ".join(parts) if at else f"{' '.join(parts)}."


_SCOPES: Final = {
    Scope.FULL: "a full restart (all links are broken and every account is matched again)",
    Scope.QUARANTINE: "a restart that clears the quarantine (links stay)",
    Scope.SUBJECTS: "a restart for single users",
}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
