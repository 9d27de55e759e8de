"""A log event: in the line for the worker, in `extra` for OpenTelemetry."""

import json
import logging

import pytest

from shared.telemetry import EVENTS, emit


def test_the_fields_stand_in_the_line_and_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="relink"):
        emit("reset.restarted", id="r-1", target="aws", number=2, dry=False, detail="", none=None)

    (record,) = caplog.records
    name, _, fields = record.getMessage().partition(" ")
    shown = {"id": "r-1", "target": "aws", "number": 2, "dry": False}
    assert (name, json.loads(fields)) == ("reset.restarted", shown)
    extra = {key: value for key, value in vars(record).items() if key in {*shown, "event"}}
    assert extra == {"event": "reset.restarted", **shown}
    assert not {"detail", "none"} & set(vars(record))


@pytest.mark.parametrize("name", ["message", "name", "args", "process", "asctime", "event"])
def test_a_field_that_a_log_record_has_already_stands_beside_it(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="relink"):
        emit("message.poisoned", queue="q", **{name: "m-1"})

    (record,) = caplog.records
    assert json.loads(record.getMessage().partition(" ")[2])[name] == "m-1"
    assert getattr(record, f"{name}_") == "m-1"


def test_a_name_that_is_not_in_the_list_is_a_defect() -> None:
    with pytest.raises(KeyError):
        emit("reset.vanished")
    assert "reset.vanished" not in EVENTS
