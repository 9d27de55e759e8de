from collections.abc import Iterator

import pytest

from tests.azurite import start_azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a storage emulator for the whole run."""
    with start_azurite() as connection_string:
        yield connection_string
