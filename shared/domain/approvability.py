"""Find where a person would be asked and no approval could be given. Pure: settings alone."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from shared.domain.catalogue import Approval, Catalogue, Target

SIGN_IN_FIRST: Final = "set up sign-in (docs/operate/deploy.md, Options)"


class Gap(Struct, frozen=True, kw_only=True):
    """
    What stands against an approval, of one target or, with an empty alias, of all.

    `certain`: every question of this target meets it. Else only some of them do.
    """

    alias: str
    words: str
    certain: bool = False

    def __str__(self) -> str:
        return f"{self.alias}: {self.words}" if self.alias else self.words


def gaps(catalogue: Catalogue, *, sign_in: bool) -> tuple[Gap, ...]:
    """Return all of them, those that are certain first."""
    found = [*_of_all(catalogue, sign_in=sign_in)]
    for alias, target in sorted(catalogue.items()):
        found += _of_target(alias, target, sign_in=sign_in)
    return tuple(sorted(found, key=lambda gap: not gap.certain))


def _of_all(catalogue: Catalogue, *, sign_in: bool) -> Iterator[Gap]:
    if sign_in or not catalogue:
        return
    yield Gap(
        alias="",
        words="nobody can sign in: a job in quarantine for too many deletes needs two signed-in "
        "persons, so that no approval for it could be given, and the budget of a day cannot be "
        f"lifted; {SIGN_IN_FIRST}",
    )


def _of_target(alias: str, target: Target, *, sign_in: bool) -> Iterator[Gap]:
    if target.approvers > 1 and not sign_in:
        yield Gap(
            alias=alias,
            words="needs two signed-in persons for every approval (`approvers`: 2), and nobody can "
            f"sign in: no approval could be given; {SIGN_IN_FIRST}, or set `approvers` to 1",
            certain=True,
        )
    elif may_ask(target) and not sign_in:
        yield Gap(
            alias=alias,
            words="may ask for an approval, and nobody can sign in: it can be given with a "
            "function key alone, by POST /api/resets/{id}/decision, under a name that nobody "
            f"vouches for; {SIGN_IN_FIRST}",
        )
    if may_ask(target) and not target.notify:
        yield Gap(
            alias=alias,
            words="may ask for an approval, and a question about a request without a ticket is "
            "heard by nobody; name a notifier in `notify`",
        )


def may_ask(target: Target) -> bool:
    """Whether its entry makes for questions, beside those that a job's state asks of any."""
    return target.approval is not Approval.NEVER or target.approve_above is not None
