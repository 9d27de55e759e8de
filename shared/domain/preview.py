"""Word the answer of a dry run: what the policy would do with the job as it is. Pure."""

from collections.abc import Sequence

from shared.domain import cycle, evidence, policy
from shared.domain.events import Previewed
from shared.domain.links import in_words
from shared.domain.reset import ON_THE_WIRE, Link, Reset
from shared.domain.sync_job import SyncJob


def previewed(
    reset: Reset,
    ruling: policy.Ruling,
    snapshot: SyncJob | None,
    *,
    enabled: bool,
    links: Sequence[Link] = (),
) -> Previewed:
    """Return the answer; *snapshot* is None where the job was not needed for it."""
    words = _words(ruling)
    if not enabled:
        words = f"resets are switched off (RESETS_ENABLED is not `true`); else it {words}"
    if snapshot is None:
        return Previewed(detail=f"dry run: {words}", before="", snapshot_at=None)
    told = "".join(f". {in_words(link)}" for link in links)
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
