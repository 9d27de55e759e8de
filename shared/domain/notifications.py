"""What a ticket is told, and which ticket hears it. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from shared.domain.catalogue import Catalogue
from shared.domain.reset import Answer, AnswerKind, Reset, Scope

USUAL_MOMENTS: Final = (AnswerKind.AWAITING_APPROVAL, AnswerKind.UNKNOWN, AnswerKind.END)

Listeners = Mapping[str, frozenset[AnswerKind]] | None
"""Of each notifier, the moments that it wants to hear of; None while NOTIFIERS is unreadable."""


def answers(
    x: Reset,
    kind: AnswerKind | None,
    listeners: Listeners,
    catalogue: Catalogue | None,
    *,
    now: datetime,
    public_url: str = "",
) -> tuple[Answer, ...]:
    """The rows that the transaction carries: none where nobody wants to hear of this moment."""
    if kind is None:
        return ()
    notifier = x.ticket_system or _of_target(x, catalogue)
    if not notifier or kind not in _wanted(notifier, listeners):
        return ()
    return (
        Answer(
            id=x.id,
            target=x.target,
            n=x.sequence,
            kind=kind,
            notifier=notifier,
            ticket_id=x.ticket_id,
            ticket_url=x.ticket_url,
            state=x.state,
            text=words(x, kind, public_url=public_url),
            at=now,
            due_at=now,
        ),
    )


def _wanted(notifier: str, listeners: Listeners) -> Collection[AnswerKind]:
    """While NOTIFIERS is unreadable the usual moments are kept, and told once it is put right."""
    if listeners is None:
        return USUAL_MOMENTS
    return listeners.get(notifier, frozenset())


def _of_target(x: Reset, catalogue: Catalogue | None) -> str:
    target = (catalogue or {}).get(x.target)
    return target.notify if target is not None else ""


def words(x: Reset, kind: AnswerKind, *, public_url: str = "") -> str:
    """One paragraph for a help desk; holds the id, by which a delivered answer is found again."""
    parts = [f"Reset {x.id} of {x.target}: {x.state.value.replace('_', ' ')}."]
    if x.detail:
        parts.append(_sentence(x.detail))
    if x.leader:
        parts.append(f"See {x.leader}.")
    if kind in _QUESTIONS:
        parts.append(_question(x, kind, public_url))
    return " ".join(parts)


_QUESTIONS: Final = {
    AnswerKind.AWAITING_APPROVAL: "Approve or reject it",
    AnswerKind.UNKNOWN: "Decide confirm, resend or cancel",
}


def _question(x: Reset, kind: AnswerKind, public_url: str) -> str:
    """What is asked, of whom it came and why, until when, and where; the link carries no key."""
    parts = [f"Asked for: {_SCOPES[x.scope]}, by {x.requested_by or x.via}"]
    if x.reason:
        parts[0] += f", because: {x.reason}"
    parts[0] = parts[0].rstrip(".") + "."
    by = f" by {x.due_at:%Y-%m-%d %H:%M} UTC" if x.due_at is not None else ""
    at = f": {public_url}/api/resets/{x.id}/page" if public_url else ""
    parts.append(f"{_QUESTIONS[kind]}{by}{at}")
    return " ".join(parts) if at else f"{' '.join(parts)}."


_SCOPES: Final = {
    Scope.FULL: "a full restart (all links are broken and every account is matched again)",
    Scope.QUARANTINE: "a restart that clears the quarantine (links stay)",
    Scope.SUBJECTS: "a restart for single users",
}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
