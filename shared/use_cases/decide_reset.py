"""Apply a person's decision to a reset: approve, reject, cancel, confirm, resend."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.characters import hidden_in
from shared.domain.errors import Conflict, InvalidRequest, NotAllowed, NotFound, NotPossible
from shared.domain.events import Decided, Event
from shared.domain.ports import Clock, Store
from shared.domain.requests import LONGEST_NAME, OWN_NAMES, RESET_ID
from shared.domain.reset import Claim, HistoryEntry, Reset, State, WaitingFor
from shared.telemetry import emit
from shared.use_cases.advance import Engine

DECISIONS: Final = ("approve", "reject", "cancel", "confirm", "resend")
NOT_BY_WHO_ASKED: Final = frozenset({"approve", "confirm", "resend"})

LIFTED_BY_A_PERSON: Final = (WaitingFor.COOLDOWN, WaitingFor.BUDGET)
"""What `approve` ends a wait for."""


@dataclass(frozen=True, kw_only=True)
class DecideReset:
    """The use case `decide_reset`."""

    store: Store
    engine: Engine
    clock: Clock

    async def decide(
        self, reset_id: str, decision: str, *, by: str, signed_in: bool = False
    ) -> Reset:
        """
        Return the reset after the decision.

        Raise NotFound, InvalidRequest, NotAllowed (whoever asked decides nothing but to stop, and
        a machine decides nothing) or
        NotPossible (the state does not allow it; an unknown fate is decided on once a person has
        been asked, so that no live sender is overtaken).
        """
        if decision not in DECISIONS:
            raise InvalidRequest(f"decision: must be one of {', '.join(DECISIONS)}")
        if not by.strip() or len(by) > LONGEST_NAME:
            raise InvalidRequest(f"by: must say who decides, in up to {LONGEST_NAME} characters")
        if character := hidden_in(by):
            raise InvalidRequest(f"by: holds a character that cannot be seen; remove {character}")
        if by.strip().casefold() in OWN_NAMES:
            raise NotAllowed("by: is a name of the app itself; a person decides")
        named = RESET_ID.fullmatch(reset_id)
        claim = await self.store.find(reset_id) if named else None
        if claim is None:
            raise NotFound(f"there is no reset {reset_id}")

        def event(reset: Reset) -> Event:
            if decision in NOT_BY_WHO_ASKED and _same_person(by, reset.requested_by):
                raise NotAllowed(f"{by} asked for this reset and cannot {decision} it")
            if decision == "confirm":
                if reset.state is not State.UNKNOWN or not reset.operator_asked:
                    raise NotPossible("there is no restart whose fate a person was asked for")
                return self.engine.confirmed(reset, by=by, signed_in=signed_in)
            if decision == "approve" and reset.state is State.WAITING:
                self._check_lift(reset)
            return Decided(decision=decision, by=by, signed_in=signed_in)

        try:
            decided = await self.engine.put(claim, event)
        except NotAllowed as error:
            await self._record_refusal(claim, decision, by, str(error))
            raise
        if decided is None:
            raise NotPossible(f"the reset does not allow {decision} in its present state")
        return decided

    async def _record_refusal(self, claim: Claim, decision: str, by: str, why: str) -> None:
        """Append it to the history; where another process wrote first, the log alone has it."""
        emit("decision.refused", id=claim.id, target=claim.target, decision=decision, by=by)
        stored = await self.store.read_reset(claim)
        if stored is None:
            return
        row = replace(stored.row, sequence=stored.row.sequence + 1)
        entry = HistoryEntry(
            sequence=row.sequence,
            at=self.clock(),
            state=row.state,
            by=by,
            detail=f"refused to {decision}: {why}",
        )
        with suppress(Conflict):
            await self.store.commit(stored, row, event=entry)

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


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
