"""Define the bodies of the HTTP API, for its responses and its OpenAPI document."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.deciders import DECISIONS
from shared.domain.links import load_matching
from shared.domain.requests import Ticket
from shared.domain.reset import (
    HistoryEntry,
    Link,
    Reset,
    Scope,
    State,
    Unreadable,
    WaitingFor,
)
from shared.domain.waits import Asks, asks, expected_end, waits_until

_Job = Annotated[
    dict[str, Any],
    Meta(
        description="The provisioning job as Graph showed it (id, code, scheduleState, "
        "steadyStateLast, lastExecution, quarantine, counts, …); empty where it was not read."
    ),
]


_Time = Annotated[datetime, Meta(tz=True)]


class _View(Struct, frozen=True, kw_only=True, rename="camel"):
    """Properties may be added later: clients must ignore unknown ones."""


class DecisionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A person's decision about a reset."""

    decision: Annotated[
        str,
        Meta(
            description="`approve`, `reject` what waits for approval; `cancel` what is not sent "
            "yet; `confirm`, `resend`, `cancel` a restart of unknown fate once a person was asked.",
            extra_json_schema={"enum": list(DECISIONS)},
        ),
    ]
    by: Annotated[
        str, Meta(max_length=256, description="Who decides; a signed-in person overrides it.")
    ] = ""
    reason: Annotated[
        str, Meta(max_length=1000, description="Why; it stands in the history and in the ticket.")
    ] = ""


class AcceptedView(_View, frozen=True, kw_only=True):
    """Where the reset of a request is found."""

    id: str
    state: State
    location: Annotated[str, Meta(extra_json_schema={"format": "uri-reference"})]
    warnings: Annotated[
        list[str] | UnsetType,
        Meta(description="What will not be done as the request says, where there is such a thing."),
    ] = UNSET


class StatusView(_View, frozen=True, kw_only=True):
    """What the holder of a status address may know."""

    state: State
    outcome: Annotated[str | None, Meta(description="Null while the reset is open.")]


class DecidedView(_View, frozen=True, kw_only=True):
    """The reset after the decision."""

    id: str
    state: State
    detail: str


class LinkView(_View, frozen=True, kw_only=True):
    """A user whose link must change; all but `subject` is null until the link is looked up."""

    subject: str
    verdict: str | None = None
    before: Annotated[str | None, Meta(description="Id in the application before.")] = None
    after: Annotated[str | None, Meta(description="Id in the application after.")] = None
    evidence: str | None = None
    remedy: Annotated[str | None, Meta(description="What to put right before asking again.")] = None
    problem: Annotated[str | None, Meta(description="What could not be read, and why.")] = None
    matching: Annotated[
        list[str], Meta(description="The attributes that decide a match, in their order.")
    ] = []


class HistoryEntryView(_View, frozen=True, kw_only=True):
    """One line of the append-only history."""

    at: _Time
    state: State
    by: Annotated[str, Meta(description="Who or what did it; `relink` is the app itself.")]
    detail: str


class MinutesView(_View, frozen=True, kw_only=True):
    """How long an initial cycle of this size takes: a range."""

    least: int
    most: int


class ResetSummary(_View, frozen=True, kw_only=True):
    """A reset in a list."""

    id: str
    state: State
    target: str
    scope: Scope
    reason: str
    requested_by: str
    via: Annotated[
        str, Meta(description="`queue`, `api`, `webhook:<sender>`, `remediate`: how it came.")
    ]
    ticket: Ticket | None
    dry_run: bool
    leader: Annotated[str | None, Meta(description="Whose restart stands for this one.")]
    requested_at: _Time
    expected_minutes: Annotated[
        MinutesView | None, Meta(description="Least and most minutes of the initial cycle.")
    ]
    expected_end_at: Annotated[
        _Time | None, Meta(description="When the initial cycle should have ended at the latest.")
    ]
    waiting_for: Annotated[WaitingFor | None, Meta(description="What an open reset waits for.")]
    until: Annotated[
        _Time | None,
        Meta(
            description="When the wait ends, or by when a person must decide; null where that "
            "is not known."
        ),
    ]
    behind: Annotated[
        str | None, Meta(description="The other reset of this job that this one waits for.")
    ]
    asks: Annotated[Asks | None, Meta(description="What a person is asked to decide.")]
    restarted_at: _Time | None
    finished_at: _Time | None
    outcome: str | None
    detail: str
    graph_request_id: str | None
    progress: str | None
    approved_by: str | None
    approver_signed_in: bool
    warnings: Annotated[
        list[str], Meta(description="What is not as the request or the job suggests.")
    ]


class ResetView(ResetSummary, frozen=True, kw_only=True):
    """A reset with its whole history."""

    subjects: list[LinkView]
    before: _Job
    after: _Job
    events: list[HistoryEntryView]


class ListPageView(_View, frozen=True, kw_only=True):
    """One page of a list; `nextLink` is the address of the next one."""

    value: list[ResetSummary]
    next_link: Annotated[
        str | None, Meta(description="Null on the last page. It carries no key: send that again.")
    ]
    continuation: Annotated[
        str | None, Meta(description="The part of `nextLink` that says where the next page begins.")
    ]


class UnreadableView(_View, frozen=True, kw_only=True):
    """A message that became no reset."""

    key: Annotated[str, Meta(description="Under which it is kept; names it for a retry.")]
    at: _Time
    queue: str
    reason: Annotated[str, Meta(description="Why it was not taken in.")]
    request_id: Annotated[str | None, Meta(description="The id that it gives, where it gives one.")]
    message: Annotated[
        str | None, Meta(description="The whole message; null where it is not UTF-8.")
    ]
    message_base64: Annotated[
        str | None, Meta(description="The whole message, where it is not UTF-8.")
    ]
    sent_as: Annotated[
        str | None, Meta(description="The reset that it became when it was sent again.")
    ]
    sent_at: _Time | None


class UnreadablePageView(_View, frozen=True, kw_only=True):
    """Messages that became no reset, newest first; `nextLink` is the address of the next page."""

    value: list[UnreadableView]
    next_link: str | None
    continuation: str | None


class ProblemView(_View, frozen=True, kw_only=True):
    """An error: https://www.rfc-editor.org/rfc/rfc9457. `detail` names the field and the remedy."""

    title: str
    status: int
    detail: str
    request_id: Annotated[
        str | UnsetType,
        Meta(description="With 503: the id to send the request again under."),
    ] = UNSET


class TimerView(_View, frozen=True, kw_only=True):
    last_run: _Time | None
    late: bool


class QueueView(_View, frozen=True, kw_only=True):
    oldest_message_seconds: int | None


class GraphObservationView(_View, frozen=True, kw_only=True):
    """When Graph was last seen so, at which call, and what it said."""

    at: _Time
    call: str
    why: str


class FleetView(_View, frozen=True, kw_only=True):
    """How many targets `remediate` has seen, and how many of them in quarantine."""

    seen: int
    quarantined: int
    stopped: bool


class AnswersView(_View, frozen=True, kw_only=True):
    """What tickets were not told."""

    undeliverable: Annotated[int, Meta(description="Answers that were given up; counted to 1,000.")]


class MessagesView(_View, frozen=True, kw_only=True):
    """Messages that became no reset."""

    unreadable: Annotated[
        int,
        Meta(description="Of the last week, and not sent again since; counted to 25."),
    ]


class PeopleView(_View, frozen=True, kw_only=True):
    """Resets that wait for a person: an approval, or whether a restart happened."""

    approvals: int
    fates: int
    oldest_at: _Time | None


class SenderCountView(_View, frozen=True, kw_only=True):
    """How many requests of one sender, and when the last one came."""

    count: int
    last_at: str


class PermissionView(_View, frozen=True, kw_only=True):
    permission: str
    grant: Literal["granted", "missing", "not seen yet"]
    parameter: Annotated[str, Meta(description="The parameter of infra/graph that grants it.")]
    words: str


class HealthView(_View, frozen=True, kw_only=True):
    """Whether the app can do its work; the detail is shown to a key or a signed-in person only."""

    status: Literal["ok", "attention", "unhealthy"]
    problems: Annotated[
        list[str],
        Meta(
            description="A sentence each, the worst first; to a stranger a setting's name, or what "
            "keeps the app from its work."
        ),
    ]
    version: str | UnsetType = UNSET
    warnings: (
        Annotated[
            list[str],
            Meta(description="What harms nothing by itself, and may surprise one day."),
        ]
        | UnsetType
    ) = UNSET
    resets_enabled: bool | UnsetType = UNSET
    targets: list[str] | UnsetType = UNSET
    senders: list[str] | UnsetType = UNSET
    notifiers: list[str] | UnsetType = UNSET
    graph_endpoint: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET
    storage: str | UnsetType = UNSET
    daily_budget: int | UnsetType = UNSET
    max_open: int | UnsetType = UNSET
    public_url: str | UnsetType = UNSET
    graph: dict[str, GraphObservationView] | UnsetType = UNSET
    evidence: (
        Annotated[
            list[PermissionView],
            Meta(description="What looking at links needs, and what each permission buys."),
        ]
        | UnsetType
    ) = UNSET
    fleet: FleetView | UnsetType = UNSET
    people: PeopleView | UnsetType = UNSET
    messages: MessagesView | UnsetType = UNSET
    timers: dict[str, TimerView] | UnsetType = UNSET
    answers: AnswersView | UnsetType = UNSET
    queues: dict[str, QueueView] | UnsetType = UNSET
    refusals: (
        Annotated[
            dict[str, SenderCountView],
            Meta(description="Refused, because the sender had too many resets open."),
        ]
        | UnsetType
    ) = UNSET
    unheard: (
        Annotated[
            dict[str, SenderCountView],
            Meta(description="Taken in, and their ticket hears nothing."),
        ]
        | UnsetType
    ) = UNSET


def list_body(found: Sequence[Reset], continuation: str, next_link: str) -> dict[str, Any]:
    """Build the JSON body of one page of a list."""
    view = ListPageView(
        value=[ResetSummary(**_columns(reset)) for reset in found],
        next_link=next_link or None,
        continuation=continuation or None,
    )
    return _builtins(view)


def unreadable_body(
    found: Sequence[Unreadable], continuation: str, next_link: str
) -> dict[str, Any]:
    """Build the JSON body of one page of messages."""
    view = UnreadablePageView(
        value=[_unreadable(each) for each in found],
        next_link=next_link or None,
        continuation=continuation or None,
    )
    return _builtins(view)


def _unreadable(message: Unreadable) -> UnreadableView:
    try:
        text, coded = message.body.decode(), None
    except UnicodeDecodeError:
        text, coded = None, base64.b64encode(message.body).decode()
    return UnreadableView(
        key=message.key,
        at=message.at,
        queue=message.queue,
        reason=message.reason,
        request_id=message.request_id or None,
        message=text,
        message_base64=coded,
        sent_as=message.sent_as or None,
        sent_at=message.sent_at,
    )


def status_body(reset: Reset) -> dict[str, Any]:
    """Build the JSON body of a status: no name, no target, no reason."""
    return _builtins(StatusView(state=reset.state, outcome=reset.outcome or None))


def reset_body(
    reset: Reset, events: Sequence[HistoryEntry], links: Sequence[Link]
) -> dict[str, Any]:
    """Build the JSON body of one reset."""
    view = ResetView(
        **_columns(reset),
        subjects=link_views(reset, links),
        before=job(reset.before),
        after=job(reset.after),
        events=[HistoryEntryView(at=e.at, state=e.state, by=e.by, detail=e.detail) for e in events],
    )
    return _builtins(view)


def link_views(reset: Reset, links: Sequence[Link]) -> list[LinkView]:
    """Return each subject of the request with what is known about its link."""
    found = {link.subject: link for link in links}
    return [_link(subject, found.get(subject)) for subject in reset.subjects]


def _link(subject: str, link: Link | None) -> LinkView:
    if link is None:
        return LinkView(subject=subject)
    return LinkView(
        subject=subject,
        verdict=link.verdict or None,
        before=link.before or None,
        after=link.after or None,
        evidence=link.evidence or None,
        remedy=link.remedy or None,
        problem=link.problem or None,
        matching=[str(each) for each in load_matching(link.matching)],
    )


def _ticket_view(reset: Reset) -> Ticket | None:
    if not reset.ticket_id:
        return None
    return Ticket(system=reset.ticket_system, id=reset.ticket_id, url=reset.ticket_url)


def minutes(text: str) -> tuple[int, int] | None:
    """Read what `evidence.expected_minutes` wrote."""
    least, _, most = text.partition("-")
    return (int(least), int(most)) if least and most else None


def _minutes_view(text: str) -> MinutesView | None:
    found = minutes(text)
    return MinutesView(least=found[0], most=found[1]) if found else None


def job(text: str) -> dict[str, Any]:
    """Read what `evidence.dump` wrote; empty where the job was not read."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _columns(reset: Reset) -> dict[str, Any]:
    return {
        "id": reset.id,
        "state": reset.state,
        "target": reset.target,
        "scope": reset.scope,
        "reason": reset.reason,
        "requested_by": reset.requested_by,
        "via": reset.via,
        "ticket": _ticket_view(reset),
        "dry_run": reset.dry_run,
        "leader": reset.leader or None,
        "requested_at": reset.requested_at,
        "expected_minutes": _minutes_view(reset.expected_minutes),
        "expected_end_at": expected_end(reset),
        "waiting_for": reset.waiting_for,
        "until": waits_until(reset),
        "behind": reset.behind or None,
        "asks": asks(reset),
        "restarted_at": reset.restarted_at,
        "finished_at": reset.finished_at,
        "outcome": reset.outcome or None,
        "detail": reset.detail,
        "graph_request_id": reset.graph_request_id or None,
        "progress": reset.progress or None,
        "approved_by": reset.approved_by or None,
        "approver_signed_in": reset.approver_signed_in,
        "warnings": list(reset.warnings),
    }


def _builtins(view: Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(view)
    return found
