"""What must not leave an invocation: the worker would hang or die of it."""

import asyncio

import pytest

from shared.domain.errors import StorageUnavailable
from shared.invocation import InvocationCancelled, shielded


async def fails(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), GeneratorExit()])
async def test_what_the_worker_does_not_survive_becomes_a_failure(error: BaseException) -> None:
    with pytest.raises(InvocationCancelled, match=type(error).__name__):
        await shielded(fails(error))


@pytest.mark.parametrize("error", [StorageUnavailable("down"), ValueError("x")])
async def test_an_ordinary_failure_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)):
        await shielded(fails(error))


async def test_a_result_is_passed_on() -> None:
    async def four() -> int:
        return 4

    assert await shielded(four()) == 4


async def test_a_timer_s_failures_of_storage_are_logged_once_for_each_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = ExceptionGroup(
        "targets", [StorageUnavailable("down"), ValueError("x"), StorageUnavailable("down")]
    )

    with (
        caplog.at_level("INFO"),
        pytest.RaisesGroup(StorageUnavailable, ValueError, StorageUnavailable),
    ):
        await shielded(fails(group))

    assert [r.getMessage() for r in caplog.records] == ['storage.failed {"why": "down"}']
