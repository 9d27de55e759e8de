"""Say who may decide what about a reset, and why somebody may not. Pure."""

from typing import Final

from shared.domain import approvals
from shared.domain.people import Person, Role
from shared.domain.reset import Reset, State, WaitingFor

DECISIONS: Final = ("approve", "reject", "cancel", "confirm", "resend")
NOT_BY_WHO_ASKED: Final = frozenset({"approve", "confirm", "resend"})

LIFTED_BY_A_PERSON: Final = (WaitingFor.COOLDOWN, WaitingFor.BUDGET)
"""What `approve` ends a wait for."""


def why_not(reset: Reset, decision: str, person: Person | None, *, by: str = "") -> str:
    """
    Return why this caller may not decide so; empty where they may.

    Without a person nobody can sign in here: then a key is enough, and names are compared as
    claimed. Where people sign in, a name is nobody's: persons are told apart by their ids.
    """
    if person is None:
        if decision in NOT_BY_WHO_ASKED and _same_name(by, reset.requested_by):
            return f"{by} asked for this reset and cannot {decision} it"
        return ""
    asked = reset.asker_id == approvals.asker_id(person)
    if asked and decision == "cancel" and reset.state is not State.UNKNOWN:
        return ""
    if person.is_program:
        return f"a program cannot {decision} a reset; a person decides"
    if Role.APPROVE not in person.roles:
        return (
            f"the app role {Role.APPROVE} is needed to {decision} a reset, and {person.name} does "
            "not hold it; ask for it in Microsoft Entra"
        )
    if asked and decision in NOT_BY_WHO_ASKED:
        return f"{person.name} asked for this reset and cannot {decision} it"
    return ""


def _same_name(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
