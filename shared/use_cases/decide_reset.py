"""Apply a person's decision to a reset: approve, reject, cancel, confirm, resend."""

from collections.abc import Collection
from contextlib import suppress
from copy import replace
from typing import Final

from msgspec import Struct

from shared.domain import approvals, evidence
from shared.domain.approvals import Approval, Question, Shown, Standard
from shared.domain.characters import hidden_in
from shared.domain.deciders import DECISIONS, LIFTED_BY_A_PERSON, why_not
from shared.domain.errors import (
    Conflict,
    InvalidRequest,
    MovedOn,
    NotAllowed,
    NotFound,
    NotPossible,
)
from shared.domain.events import Decided, Event
from shared.domain.people import Person
from shared.domain.ports import Clock, ResetReader, Resets
from shared.domain.requests import LONGEST_NAME, LONGEST_REASON, RESET_ID, is_own_name
from shared.domain.reset import Claim, HistoryEntry, Reset, State, WaitingFor, tag
from shared.domain.transitions import RELINK
from shared.telemetry import emit
from shared.use_cases.advance import Engine

REFUSED: Final = "refused to"
"""Begins the history's line about a decision that did not count."""


class Decision(Struct, frozen=True, kw_only=True):
    """
    What somebody decides, and who it is.

    `person` is who the platform says it is, and then overrides `by`; without one `by` is as
    claimed. `seen` holds the versions of the reset that the decision may be about; none: any.
    """

    decision: str
    by: str = ""
    person: Person | None = None
    reason: str = ""
    seen: Collection[str] = ()

    @property
    def name(self) -> str:
        return self.person.name if self.person is not None else self.by

    def said(self) -> Decided:
        return Decided(
            decision=self.decision,
            by=self.name,
            signed_in=self.person is not None,
            reason=self.reason.strip(),
        )


class DecideReset(Struct, frozen=True, kw_only=True):
    """The use case `decide_reset`."""

    resets: Resets
    reader: ResetReader
    engine: Engine
    clock: Clock

    async def decide(self, reset_id: str, wanted: Decision) -> Reset:
        """
        Return the reset after the decision.

        Raise NotFound, InvalidRequest, NotAllowed (who asked decides nothing but to stop, a
        program or a machine decides nothing, a role is missing), MovedOn (it is not as it was
        seen) or NotPossible (the state does not allow it; an unknown fate is decided on once a
        person has been asked, so that no live sender is overtaken).
        """
        _check(wanted)
        named = RESET_ID.fullmatch(reset_id)
        claim = await self.resets.find(reset_id) if named else None
        if claim is None:
            raise NotFound(f"there is no reset {reset_id}")

        def event(reset: Reset) -> Event:
            if why := why_not(reset, wanted.decision, wanted.person, by=wanted.by):
                raise NotAllowed(why)
            if wanted.seen and tag(reset) not in wanted.seen:
                raise MovedOn("the reset has changed since it was read; read it again, then decide")
            return self._event(reset, wanted)

        try:
            decided = await self.engine.put(claim, event)
        except NotAllowed as error:
            await self._record_refusal(claim, wanted, str(error))
            raise
        if decided is None:
            raise NotPossible(await self._too_late(reset_id, wanted.decision))
        return decided

    def _event(self, reset: Reset, wanted: Decision) -> Event:
        if wanted.decision == "confirm":
            if reset.state is not State.UNKNOWN or not reset.operator_asked:
                raise NotPossible("there is no restart whose fate a person was asked for")
            return self.engine.confirmed(reset, wanted.said())
        if wanted.decision == "approve" and reset.state is State.WAITING:
            self._check_lift(reset)
        if wanted.decision == "approve" and reset.state is State.AWAITING_APPROVAL:
            return self._approval(reset, wanted)
        return wanted.said()

    def _approval(self, reset: Reset, wanted: Decision) -> Decided:
        """Add this approval to those that were given, and count."""
        standard, person, now = self._standard(reset), wanted.person, self.clock()
        job = evidence.load(reset.before)
        seen = approvals.shown(job) if job is not None else Shown()
        earlier = approvals.load(reset.approvals)
        valid = [
            each
            for each in earlier
            if all(
                approvals.covers(each, Question(key=key, words=""), seen, standard, now=now)
                for key in reset.questions
            )
        ]
        mine = Approval(
            by=wanted.name,
            at=now,
            reasons=reset.questions,
            seen=seen,
            object_id=person.object_id if person is not None else "",
            tenant_id=person.tenant_id if person is not None else "",
        )
        if person is not None and any(each.identity == mine.identity for each in valid):
            raise NotPossible(f"{wanted.name} approved it already; another person must as well")
        needed, vouched = approvals.approvers_needed(reset, reset.questions, standard)
        if vouched and person is None:
            raise NotAllowed(
                "only signed-in persons can approve this; set up sign-in (docs/operate/deploy.md)"
            )
        missing = approvals.still_needed(reset, reset.questions, [*valid, mine], standard)
        kept = [each for each in earlier if now - each.at <= standard.valid]
        said = wanted.said()
        return Decided(
            decision=said.decision,
            by=said.by,
            signed_in=said.signed_in,
            reason=said.reason,
            approvals=approvals.dump([*kept, mine]),
            given=needed - missing,
            needed=needed,
        )

    def _standard(self, reset: Reset) -> Standard:
        rules = self.engine.settings.rules
        target = (rules.catalogue or {}).get(reset.target)
        if target is None:
            # The policy will refuse it; the strictest standard until then.
            return Standard(approvers=2, sign_in=rules.sign_in, valid=rules.approval_valid)
        return rules.standard(target)

    async def _too_late(self, reset_id: str, decision: str) -> str:
        """Say what the reset is now, and who decided that, when."""
        stored = await self.resets.find_reset(reset_id)
        if stored is None:
            return f"the reset does not allow {decision}"
        state = stored.row.state.replace("_", " ")
        for entry in reversed(await self.reader.events(stored.row)):
            if entry.by != RELINK and entry.sequence > 1 and not entry.detail.startswith(REFUSED):
                return (
                    f"the reset is {state} and does not allow {decision}: {entry.by} decided at "
                    f"{entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.detail}"
                )
        return f"the reset is {state} and does not allow {decision}: {stored.row.detail}"

    async def _record_refusal(self, claim: Claim, wanted: Decision, why: str) -> None:
        """Append it to the history; where another process wrote first, the log alone has it."""
        emit(
            "decision.refused",
            id=claim.id,
            target=claim.target,
            decision=wanted.decision,
            by=wanted.name,
        )
        stored = await self.resets.read_reset(claim)
        if stored is None:
            return
        row = replace(stored.row, sequence=stored.row.sequence + 1)
        entry = HistoryEntry(
            sequence=row.sequence,
            at=self.clock(),
            state=row.state,
            by=wanted.name,
            detail=f"{REFUSED} {wanted.decision}: {why}",
        )
        with suppress(Conflict):
            await self.resets.commit(stored, row, event=entry)

    def _check_lift(self, reset: Reset) -> None:
        """A person can end a wait for the cooldown or the budget, and no other one."""
        if reset.behind:
            raise NotPossible(f"it waits behind {reset.behind}; decide on that one")
        if reset.waiting_for not in LIFTED_BY_A_PERSON:
            raise NotPossible(
                f"it waits for {reset.waiting_for or 'nothing'}; a person can end a wait for "
                f"{' or '.join(LIFTED_BY_A_PERSON)} only"
            )
        if reset.waiting_for is WaitingFor.BUDGET and not self.engine.settings.sign_in:
            raise NotPossible(
                "the budget of the day can be lifted only where people sign in; set up sign-in, "
                "or raise RESET_DAILY_BUDGET"
            )


def _check(wanted: Decision) -> None:
    if wanted.decision not in DECISIONS:
        raise InvalidRequest(f"decision: must be one of {', '.join(DECISIONS)}")
    by = wanted.name
    if not by.strip() or len(by) > LONGEST_NAME:
        raise InvalidRequest(f"by: must say who decides, in up to {LONGEST_NAME} characters")
    if character := hidden_in(by):
        raise InvalidRequest(f"by: holds a character that cannot be seen; remove {character}")
    if len(wanted.reason) > LONGEST_REASON:
        raise InvalidRequest(f"reason: has over {LONGEST_REASON} characters; shorten it")
    if character := hidden_in(wanted.reason, lines=True):
        raise InvalidRequest(f"reason: holds a character that cannot be seen; remove {character}")
    if is_own_name(by):
        raise NotAllowed("by: is a name of the app itself; a person decides")
