"""
What a quarantine's reason allows, by who asks: a machine or a person. Pure.

https://learn.microsoft.com/entra/identity/app-provisioning/application-provisioning-quarantine-status
https://learn.microsoft.com/graph/api/resources/synchronization-synchronizationquarantine
docs/operate/remediation.md shows the same rules as a table; a test checks that the two agree.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.domain.sync_job import Quarantine


class Treatment(StrEnum):
    """What the reason alone says; the policy's other rules come on top."""

    GO = "go"
    ASK = "ask"
    ASK_SIGNED_IN = "ask a signed-in person"
    REFUSE = "refuse"


class QuarantineRule(Struct, frozen=True, kw_only=True):
    """One reason: what a machine may do, what a person may ask for, and why, in words."""

    automatic: Treatment
    person: Treatment
    why: str


_FAILURES: Final = "a restart drops the failed entries and tries everything again"

QUARANTINE_RULES: Final[Mapping[str, QuarantineRule]] = {
    "EncounteredEscrowProportionThreshold": QuarantineRule(
        automatic=Treatment.GO,
        person=Treatment.GO,
        why=f"over 40 % of the entries failed; {_FAILURES}",
    ),
    "EncounteredBaseEscrowThreshold": QuarantineRule(
        automatic=Treatment.GO, person=Treatment.GO, why=f"too many entries failed; {_FAILURES}"
    ),
    "EncounteredTotalEscrowThreshold": QuarantineRule(
        automatic=Treatment.GO,
        person=Treatment.GO,
        why=f"too many entries failed, references counted; {_FAILURES}",
    ),
    "EncounteredQuarantineException": QuarantineRule(
        automatic=Treatment.REFUSE,
        person=Treatment.ASK,
        why="it cannot sign in to the application, or not reach it; have the credentials been put "
        "right? The reason stays until the next try, up to a day, and a restart tries at once; "
        "with wrong credentials it ends in quarantine again",
    ),
    "TooManyDeletes": QuarantineRule(
        automatic=Treatment.REFUSE,
        person=Treatment.ASK_SIGNED_IN,
        why="it holds back a mass deletion; a restart would let it go or forget it: first find "
        "out who is to be removed, then a signed-in person must decide",
    ),
    "QuarantinedOnDemand": QuarantineRule(
        automatic=Treatment.REFUSE,
        person=Treatment.ASK,
        why="Microsoft put it there by hand; ask Microsoft support first",
    ),
    "IngestionInterrupted": QuarantineRule(
        automatic=Treatment.REFUSE,
        person=Treatment.ASK,
        why="reading the source was interrupted; Microsoft does not say what a restart does then",
    ),
    "Unknown": QuarantineRule(
        automatic=Treatment.REFUSE,
        person=Treatment.ASK,
        why="Microsoft gives no reason; look at the job in the portal first",
    ),
}
"""Every reason that Graph documents."""

UNKNOWN: Final = QuarantineRule(
    automatic=Treatment.REFUSE,
    person=Treatment.ASK,
    why="this version does not know the reason; look at the job in the portal first",
)
"""A reason that Graph does not document, or none at all: never to be taken for harmless."""

RESTART_HELPS: Final = frozenset(
    reason for reason, line in QUARANTINE_RULES.items() if line.automatic is Treatment.GO
)
"""All that `remediate.reasons` of a target may name."""

_BY_WORD: Final = {reason.casefold(): rule for reason, rule in QUARANTINE_RULES.items()}
_STRICTER: Final = tuple(Treatment)


def line(reason: str) -> QuarantineRule:
    """
    Return the rule of a reason as Graph wrote it, in any case.

    The reasons are numbered like flags, so that several may come in one text: then for each
    asker the strictest counts.
    """
    rules = [_BY_WORD.get(word, UNKNOWN) for word in _words(reason)] or [UNKNOWN]
    return QuarantineRule(
        automatic=max((rule.automatic for rule in rules), key=_STRICTER.index),
        person=max((rule.person for rule in rules), key=_STRICTER.index),
        why="; ".join(dict.fromkeys(rule.why for rule in rules)),
    )


def named_in(reason: str, reasons: Iterable[str]) -> bool:
    """Whether a target's `remediate.reasons` names this reason, and where it is several, each."""
    words, named = _words(reason), {name.casefold() for name in reasons}
    return bool(words) and all(word in named for word in words)


def told(quarantine: Quarantine | None) -> str:
    """Say that the job is in quarantine, why, and what Graph says about the error."""
    reason = quarantine.reason if quarantine is not None else ""
    words = f"the job is in quarantine ({reason or 'an unknown reason'}): {line(reason).why}"
    if quarantine is None or not quarantine.error:
        return words
    return f"{words}. Graph says: {quarantine.error}"


def _words(reason: str) -> list[str]:
    return [word for each in reason.split(",") if (word := each.strip().casefold())]
