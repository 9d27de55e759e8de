"""Which ticket is told of which moment: the rows of the outbox that a transaction carries. Pure."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.domain import ticket_facts
from shared.domain.catalogue import Catalogue
from shared.domain.reset import Notification, NotificationKind, Reset, State
from shared.domain.ticket_facts import LinkFact, take_facts
from shared.domain.ticket_words import compose

USUAL_MOMENTS: Final = (
    NotificationKind.WAITING,
    NotificationKind.RESTARTED,
    NotificationKind.AWAITING_APPROVAL,
    NotificationKind.UNKNOWN,
    NotificationKind.END,
)

OF_THE_TARGET: Final = 1_000_000
"""Added to the number of an answer that goes to the target's own notifier, beside the ticket's."""


class Listener(Struct, frozen=True, kw_only=True):
    """
    What a notifier wants to hear; one that writes to tickets hears only where there is one.

    `senders` may write to it by what they ask for; API and queue may write to any.
    """

    on: frozenset[NotificationKind]
    senders: frozenset[str] = frozenset()
    needs_ticket: bool = False
    ticket: str = ""


Listeners = Mapping[str, Listener] | None
"""The configured notifiers by name; None while NOTIFIERS is unreadable."""


def is_of_reset(answer: Notification) -> bool:
    """Whether there is a reset of its id: an answer about a refused request has number 0."""
    return answer.n % OF_THE_TARGET != 0


def answers(
    reset: Reset,
    kind: NotificationKind | None,
    listeners: Listeners,
    catalogue: Catalogue | None,
    *,
    now: datetime,
    by: str = "",
    why: str = "",
    public_url: str = "",
    sign_in: bool = False,
    links: tuple[LinkFact, ...] = (),
) -> tuple[Notification, ...]:
    """
    The rows that the transaction carries: none where nobody wants to hear of this moment.

    *by* is who decided and *why*, where somebody did; *sign_in* whether people can sign in to the
    pages.
    """
    if kind is None:
        return ()
    places = [
        place
        for place in _places(reset, listeners, catalogue)
        if kind in _wanted(place.notifier, listeners)
    ]
    if not places:
        return ()
    target = (catalogue or {}).get(reset.target)
    facts = take_facts(
        reset,
        kind,
        at=now,
        by=by,
        why=why,
        public_url=public_url,
        sign_in=sign_in,
        approvers=target.approvers if target is not None else 1,
        links=links,
    )
    text, data = compose(facts).text, ticket_facts.dump(facts)
    return tuple(
        Notification(
            id=reset.id,
            target=reset.target,
            n=reset.sequence + place.offset,
            kind=kind,
            notifier=place.notifier,
            ticket_id=place.ticket_id,
            ticket_url=place.ticket_url,
            state=reset.state,
            text=text,
            facts=data,
            at=now,
            due_at=now,
        )
        for place in places
    )


class _Place(Struct, frozen=True, kw_only=True):
    notifier: str
    ticket_id: str = ""
    ticket_url: str = ""
    offset: int = 0


def _places(reset: Reset, listeners: Listeners, catalogue: Catalogue | None) -> Iterator[_Place]:
    """
    The ticket, and the target's own notifier whatever the request says.

    The latter does not hear of a request that was joined: it hears the leader's end.
    """
    if reset.ticket_system and may_write(reset, listeners):
        yield _Place(
            notifier=reset.ticket_system, ticket_id=reset.ticket_id, ticket_url=reset.ticket_url
        )
    own = _of_target(reset, catalogue)
    if not own or own == reset.ticket_system or reset.state is State.JOINED:
        return
    listener = (listeners or {}).get(own)
    ticket = listener.ticket if listener is not None else ""
    if listener is not None and listener.needs_ticket and not ticket:
        return
    yield _Place(notifier=own, ticket_id=ticket, offset=OF_THE_TARGET if reset.ticket_system else 0)


_BY_WEBHOOK: Final = "webhook:"


def may_write(reset: Reset, listeners: Listeners) -> bool:
    """Whether the sender of the request may have its ticket's notifier write."""
    if listeners is None or not reset.via.startswith(_BY_WEBHOOK):
        return True
    listener = listeners.get(reset.ticket_system)
    return listener is not None and reset.via.removeprefix(_BY_WEBHOOK) in listener.senders


def unheard(reset: Reset, listeners: Listeners) -> str:
    """Say that the ticket of this request will hear nothing; "" where it will."""
    system = reset.ticket_system
    if not system or listeners is None:
        return ""
    if system not in listeners:
        near = system.strip().casefold()
        guess = f"did you mean {near}? The" if near in listeners else "the"
        return (
            f"{OF_THE_TICKET}: there is no notifier {system}; {guess} ticket hears nothing of this "
            "reset (NOTIFIERS)"
        )
    if not may_write(reset, listeners):
        sender = reset.via.removeprefix(_BY_WEBHOOK)
        return (
            f"{OF_THE_TICKET}: {sender} may not write to {system}; the ticket hears nothing of "
            "this reset (`notifiers` of its entry in WEBHOOK_SENDERS)"
        )
    return ""


OF_THE_TICKET: Final = "ticket.system"
"""How a warning begins that stays for as long as the reset."""


def _wanted(notifier: str, listeners: Listeners) -> Collection[NotificationKind]:
    """While NOTIFIERS is unreadable the usual moments are kept, and told once it is put right."""
    if listeners is None:
        return USUAL_MOMENTS
    listener = listeners.get(notifier)
    return listener.on if listener is not None else ()


def _of_target(reset: Reset, catalogue: Catalogue | None) -> str:
    target = (catalogue or {}).get(reset.target)
    return target.notify if target is not None else ""
