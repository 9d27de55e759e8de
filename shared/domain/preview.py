"""Word the answer of a dry run: what the policy would do with the job as it is. Pure."""

from collections.abc import Sequence
from typing import Final

from shared.domain import cycle, evidence, policy
from shared.domain.events import Previewed
from shared.domain.links import in_words
from shared.domain.reset import ON_THE_WIRE, Link, Reset
from shared.domain.sync_job import SyncJob

TOLD_AT_MOST: Final = 8000
"""Characters about the links: a column has its limit, and the rows beside it say it all."""


def previewed(
    reset: Reset,
    ruling: policy.Ruling,
    snapshot: SyncJob | None,
    *,
    enabled: bool,
    links: Sequence[Link] = (),
    problem: str = "",
) -> Previewed:
    """
    Return the answer; *snapshot* is None where the job was not needed for it.

    *problem* is why the links could not be looked up.
    """
    words = _words(ruling)
    if not enabled:
        words = f"resets are switched off (RESETS_ENABLED is not `true`); else it {words}"
    if snapshot is None:
        return Previewed(detail=f"dry run: {words}", before="", snapshot_at=None)
    told = "".join(f". {in_words(link)}" for link in links)[:TOLD_AT_MOST]
    if problem:
        told += f". Not all links could be looked up: {problem}"
    restart = f"{ON_THE_WIRE[reset.scope]} to job {snapshot.id}"
    return Previewed(
        detail=f"dry run: {words}. The restart: {restart}{told}",
        before=evidence.dump(snapshot),
        snapshot_at=snapshot.read_at,
        expected_minutes=cycle.expected_minutes(snapshot.size),
    )


def _words(ruling: policy.Ruling) -> str:
    match ruling:
        case policy.Go():
            return "would be sent now"
        case policy.Wait():
            return f"would wait until {ruling.until:%Y-%m-%d %H:%M} UTC: {ruling.reason}"
        case policy.Ask():
            return f"would ask a person: {ruling.reason}"
        case policy.Refuse():
            return f"would be refused: {ruling.reason}"
