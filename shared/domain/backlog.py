"""Hold what waits for a person: questions, undelivered answers, unreadable messages. Pure."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from shared.domain.reset import GivenUp, Reset, Unreadable
from shared.domain.waits import Asks, asks


class Backlog(Struct, frozen=True, kw_only=True):
    """
    What waits for a person; of the lists but the questions only the beginning.

    Who is asked about a reset is asked about the Head of its job: so the questions are found by
    the targets' job rows, however many resets are open.
    """

    questions: Sequence[Reset] = ()
    undelivered: Sequence[GivenUp] = ()
    unreadable: Sequence[Unreadable] = ()

    def asking(self, what: Asks) -> list[Reset]:
        return [each for each in self.questions if asks(each) is what]

    @property
    def oldest_question_at(self) -> datetime | None:
        """When the one that waits longest was asked for."""
        return min((each.requested_at for each in self.questions), default=None)
