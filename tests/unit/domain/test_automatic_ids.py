"""The timer's ids can be computed by anybody: nobody else can use one up, or make it their own."""

import pytest

from shared.domain.errors import InvalidRequest
from shared.domain.keys import to_milliseconds
from shared.domain.requests import Received, ResetRequest, content_hash
from shared.domain.reset import Claim, Scope
from shared.names import REMEDIATE
from tests.support.world import TARGET, World

ID = f"schedule-{'a' * 32}"
REQUEST = ResetRequest(target=TARGET, scope=Scope.QUARANTINE)


@pytest.mark.parametrize(
    "reset_id",
    [ID, f"schedule-{'A' * 32}", f"quarantine-{'0' * 32}", f"stale-{'f' * 32}-dry"],
)
async def test_an_id_of_the_timers_is_refused_from_anybody_else(reset_id: str) -> None:
    world = World()
    with pytest.raises(InvalidRequest, match="the app's own; choose another id"):
        await world.accept(reset_id, target=TARGET)
    assert world.keys("targets") == []


@pytest.mark.parametrize("reset_id", ["schedule-1", f"schedule-{'g' * 32}", f"x-{'a' * 32}"])
async def test_an_id_that_only_resembles_the_timers_may_be_used_by_anybody(reset_id: str) -> None:
    assert not (await World().accept(reset_id)).known


async def test_a_caller_who_completes_what_the_timer_began_does_it_in_the_timers_name() -> None:
    world = World()
    store = world.storage.store()
    await store.claim(
        Claim(
            id=ID,
            target=TARGET,
            requested_at=to_milliseconds(world.clock()),
            content_hash=content_hash(REQUEST),
        )
    )
    # The process died there; somebody's message brings the same request.
    accepted = await world.app.runs.acceptance.accept(Received(id=ID, request=REQUEST), via="queue")
    assert accepted.stored.row.via == REMEDIATE
