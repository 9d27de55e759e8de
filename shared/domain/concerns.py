"""Say how the app is, in three levels, and what a person should look at. Pure."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """The words of `GET /api/health`; the last one alone makes it a 503."""

    OK = "ok"
    ATTENTION = "attention"
    UNHEALTHY = "unhealthy"


class Concern(Struct, frozen=True, kw_only=True):
    """
    One thing that is not as it should be.

    `about` is a word that anybody may read: a setting's name, `storage`, or what is meant. `words`
    say what it is, and what to do.
    """

    level: Level
    about: str
    words: str

    def __str__(self) -> str:
        return f"{self.about}: {self.words}"


def level_of(concerns: Iterable[Concern]) -> Level:
    """The worst of them; ok where there is none."""
    worst = {concern.level for concern in concerns}
    return next((each for each in (Level.UNHEALTHY, Level.ATTENTION) if each in worst), Level.OK)


def worst_first(concerns: Iterable[Concern]) -> tuple[Concern, ...]:
    """Sort by level; those of one level stay in their order."""
    order = (Level.UNHEALTHY, Level.ATTENTION, Level.OK)
    return tuple(sorted(concerns, key=lambda each: order.index(each.level)))
