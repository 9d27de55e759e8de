"""What a ticket is told, and which ticket hears it. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime

from shared.catalogue import Catalogue
from shared.config import USUAL_MOMENTS
from shared.models import Answer, AnswerKind, Reset

Listeners = Mapping[str, frozenset[AnswerKind]] | None
"""Of each notifier, the moments that it wants to hear of; None while NOTIFIERS is unreadable."""


def answers(
    x: Reset,
    kind: AnswerKind | None,
    listeners: Listeners,
    catalogue: Catalogue | None,
    *,
    now: datetime,
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
            text=words(x),
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


def words(x: Reset) -> str:
    """One paragraph for a help desk; holds the id, by which a delivered answer is found again."""
    parts = [f"Reset {x.id} of {x.target}: {x.state.value.replace('_', ' ')}."]
    if x.detail:
        parts.append(f"{x.detail[0].upper()}{x.detail[1:]}.")
    if x.leader:
        parts.append(f"See {x.leader}.")
    return " ".join(parts)
