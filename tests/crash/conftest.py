"""The lives of test_every_io.py take minutes of processor: they are lived while others wait."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

LONGEST = "test_a_fault_in_any_io_of_any_life_breaks_no_promise"

POOL = pytest.StashKey[ProcessPoolExecutor]()


def _give_way() -> None:
    """Tests that measure time run before these lives."""
    os.nice(10)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begun first (below), it is looked at last."""
    items.sort(key=lambda item: item.name == LONGEST)


def pytest_sessionfinish(session: pytest.Session) -> None:
    pool = session.config.stash.get(POOL, None)
    if pool is not None:
        pool.shutdown(cancel_futures=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not any(i.name == LONGEST for i in session.items):
        return
    executor = ProcessPoolExecutor(
        os.process_cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_give_way,
    )
    session.config.stash[POOL] = executor
    from tests.crash.test_every_io import begin  # noqa: PLC0415 -- only where it is collected

    begin(executor)
