"""Accept a request, once: insert the ids row, then the reset with its event and due row."""

import asyncio
from copy import replace
from datetime import datetime
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain import notifications
from shared.domain.approvals import asker_id
from shared.domain.catalogue import unknown_target
from shared.domain.errors import (
    Conflict,
    IdReused,
    InvalidRequest,
    NewerRow,
    StorageUnavailable,
    TooManyOpen,
)
from shared.domain.keys import to_milliseconds
from shared.domain.notifications import Listeners
from shared.domain.people import Person
from shared.domain.ports import Clock, Queues, Resets
from shared.domain.requests import (
    HORIZON,
    Received,
    ResetRequest,
    as_reset,
    content_hash,
    is_automatic,
    reserved_form,
)
from shared.domain.reset import (
    Claim,
    HistoryEntry,
    JobRow,
    NotificationKind,
    Reset,
    Scope,
    State,
    Stored,
    vouched,
)
from shared.domain.states import first_place
from shared.names import REMEDIATE
from shared.telemetry import emit
from shared.use_cases.admission import Admission
from shared.use_cases.unheard import UnheardCount
from shared.use_cases.write_transition import nudge_answer

MAX_RACES: Final = 20
"""How often an insert is tried again after another request took or left the empty Head."""


class Accepted(Struct, frozen=True, kw_only=True):
    """The reset of a request. `known`: it was there before."""

    stored: Stored[Reset]
    claim: Claim
    known: bool
    job: Stored[JobRow] | None = None
    """The job row as of the insert, where that is known."""


API: Final = "api"
"""How `via` names the HTTP API."""


class Taken(Struct, frozen=True, kw_only=True):
    """How a request came: `how` says whose word the asker's name is, `asker_id` who it was."""

    via: str
    how: str
    asker_id: str


class Acceptance(Struct, frozen=True, kw_only=True):
    """The use case `accept`. It is idempotent: the same request again changes nothing."""

    resets: Resets
    admission: Admission
    unheard: UnheardCount
    queues: Queues
    settings: Settings
    listeners: Listeners
    clock: Clock

    async def accept(
        self,
        received: Received,
        *,
        via: str,
        came_at: datetime | None = None,
        asker: Person | None = None,
    ) -> Accepted:
        """
        Return the reset of this request.

        Raise InvalidRequest where the request asks for something that is not allowed, and IdReused
        where its id stands for another request. *came_at* is when the message was queued.
        *asker* is who asks, where the platform vouches for that.
        """
        now = self.clock()
        request = received.request
        wanted = Claim(
            id=received.id,
            target=request.target,
            requested_at=to_milliseconds(min(came_at or now, now)),
            content_hash=content_hash(request),
        )
        await self._check(received, via)
        await self._admit(received, via)
        # Side by side, because a webhook has eight seconds. The job's number counts from any
        # moment after the request came.
        _, claim, job = await asyncio.gather(
            self.resets.remember_target(request.target, at=now),
            self.resets.claim(wanted),
            self._job(request.target),
        )
        if claim.content_hash != wanted.content_hash:
            raise IdReused(
                f"requestId: {received.id} was used for a request with other content; "
                "choose a new id"
            )
        # Missing after a crash between the ids row and the reset: then it is completed here. Where
        # the ids row is this call's own, there is no reset to read.
        there = None if claim is wanted else await self.resets.read_reset(claim)
        if there is not None:
            return Accepted(stored=there, claim=claim, known=True)
        # Over the API a name came along; elsewhere the way itself says whose word it is.
        how = f", {vouched(asker is not None)}" if asker is not None or via == API else ""
        taken = Taken(via=via, how=how, asker_id=asker_id(asker) if asker is not None else "")
        return await self._insert(received, claim, taken, job, now=now)

    async def _job(self, target: str) -> Stored[JobRow] | None:
        """None where it cannot be read: it is read again where it is needed, and raises there."""
        try:
            return await self.resets.read_job(target)
        except (NewerRow, StorageUnavailable):
            return None

    async def _check(self, received: Received, via: str) -> None:
        complaint = self._complaint(received, via)
        # A known id is answered whatever the settings say now, and the app's own messages have one.
        if complaint and await self.resets.find(received.id) is None:
            raise InvalidRequest(complaint)

    async def _admit(self, received: Received, via: str) -> None:
        try:
            await self.admission.admit(via)
        except TooManyOpen:
            # A known id is answered as ever.
            if await self.resets.find(received.id) is None:
                raise

    def _complaint(self, received: Received, via: str) -> str:
        request, catalogue = received.request, self.settings.catalogue
        if catalogue is not None and request.target not in catalogue:
            return unknown_target(request.target, catalogue)
        if request.not_before is not None and request.not_before > self.clock() + HORIZON:
            return f"notBefore: lies too far ahead; give a time within {HORIZON.days} days"
        if via == REMEDIATE:
            return ""
        if request.scope is Scope.QUARANTINE:
            return "scope: `quarantine` is made only by the app itself; send `full`"
        if why := reserved_form(request.request_id, self.settings.senders):
            return f"requestId: {why}; choose another id"
        return ""

    async def _insert(
        self,
        received: Received,
        claim: Claim,
        taken: Taken,
        read: Stored[JobRow] | None,
        *,
        now: datetime,
    ) -> Accepted:
        for _ in range(MAX_RACES):
            job = read or await self.resets.read_job(claim.target)
            read = None
            reset = self._reset(received.request, claim, job.row, taken, now=now)
            event = HistoryEntry(
                sequence=1,
                at=now,
                state=State.ACCEPTED,
                by=reset.requested_by or taken.via,
                detail=reset.detail,
            )
            answers = notifications.answers(
                reset,
                NotificationKind.ACCEPTED,
                self.listeners,
                self.settings.catalogue,
                now=now,
                public_url=self.settings.public_url,
                sign_in=self.settings.sign_in,
            )
            first = first_place(reset, job.row, now=now)
            becomes = (job, first.job) if first.job is not None else None
            try:
                stored = await self.resets.insert(first.reset, event, answers, job=becomes)
            except Conflict:
                # Another request became Head meanwhile: this one is inserted behind it.
                continue
            for answer in answers:
                await nudge_answer(self.queues, answer)
            await self._log(reset)
            return Accepted(
                stored=stored,
                claim=claim,
                known=False,
                job=_as_inserted(stored, job, first.job),
            )
        raise StorageUnavailable(f"{claim.id}: too many concurrent writes of the job row")

    def _reset(
        self, request: ResetRequest, claim: Claim, job: JobRow, taken: Taken, *, now: datetime
    ) -> Reset:
        target = (self.settings.catalogue or {}).get(request.target)
        shut = request.not_before is not None and request.not_before > now
        # A reset that the timer began stays the timer's, also where a message completes it.
        via = REMEDIATE if is_automatic(claim.id) else taken.via
        reset = replace(
            as_reset(request, reset_id=claim.id, at=claim.requested_at, via=via),
            target=claim.target,
            service_principal_id=target.service_principal_id if target else "",
            job_id=target.job_id if target else "",
            asker_id=taken.asker_id,
            seen_number=None if shut else job.number,
            due_at=now,
            detail=f"received ({taken.via}{taken.how})",
            sequence=1,
        )
        warning = notifications.unheard(reset, self.listeners)
        return replace(reset, warnings=(warning,)) if warning else reset

    async def _log(self, reset: Reset) -> None:
        emit(
            "reset.accepted",
            id=reset.id,
            target=reset.target,
            via=reset.via,
            scope=str(reset.scope),
        )
        if reset.warnings:
            emit("answer.unheard", id=reset.id, target=reset.target, notifier=reset.ticket_system)
            await self.unheard.add(reset.via)


def _as_inserted(
    stored: Stored[Reset], was: Stored[JobRow], becomes: JobRow | None
) -> Stored[JobRow] | None:
    """Return the job row beside the reset; None after an answer that was lost."""
    if becomes is None:
        return was
    return Stored(row=becomes, etag=stored.job_etag) if stored.job_etag else None
