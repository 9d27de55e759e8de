"""Apply a person's decision to a reset: approve, reject, cancel, confirm, resend."""

from dataclasses import dataclass
from typing import Final

from shared.domain.characters import hidden_in
from shared.domain.errors import InvalidRequest, NotAllowed, NotFound, NotPossible
from shared.domain.events import Decided, Event
from shared.domain.ports import Store
from shared.domain.requests import LONGEST_NAME, OWN_NAMES, RESET_ID
from shared.domain.reset import Reset, State
from shared.use_cases.advance import Engine

DECISIONS: Final = ("approve", "reject", "cancel", "confirm", "resend")
NOT_BY_WHO_ASKED: Final = frozenset({"approve", "confirm", "resend"})


@dataclass(frozen=True, kw_only=True)
class DecideReset:
    """The use case `decide_reset`."""

    store: Store
    engine: Engine

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
            return Decided(decision=decision, by=by, signed_in=signed_in)

        decided = await self.engine.put(claim, event)
        if decided is None:
            raise NotPossible(f"the reset does not allow {decision} in its present state")
        return decided


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
