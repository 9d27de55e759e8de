"""A storm of tickets through the real host, queues and tables: `make storm`, smaller."""

import pytest

from local.storm import Storm, report, run


@pytest.mark.parametrize(
    "storm",
    [
        pytest.param(Storm(tickets=300), id="default settings"),
        pytest.param(Storm(tickets=60, hosts=2), id="two hosts on one storage"),
        pytest.param(Storm(tickets=60, cooldown="PT0S"), id="no cooldown"),
    ],
)
async def test_a_storm_is_one_restart_and_every_ticket_hears_once(
    storm: Storm, capsys: pytest.CaptureFixture[str]
) -> None:
    result = await run(storm, progress=False)

    with capsys.disabled():
        print(f"\n{report(storm, result)}")
    assert result.problems(storm) == []
