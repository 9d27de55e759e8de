"""Rows are written and read with the SDK's types."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from azure.data.tables import EntityProperty
from azure.data.tables._deserialize import _convert_to_entity
from azure.data.tables._serialize import _add_entity_properties
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.table_entities import entity_of, text_of

sdks_row: Callable[[dict[str, Any]], Any] = _convert_to_entity


class State(StrEnum):
    OPEN = "open"


WEST = timezone(timedelta(hours=-7))
FIRST = datetime(1601, 1, 2)  # noqa: DTZ001 -- Hypothesis adds the zone
VALUES = (
    st.none()
    | st.text()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats()
    | st.binary()
    | st.uuids()
    | st.just(State.OPEN)
    # The service knows no time before.
    | st.datetimes(min_value=FIRST, timezones=st.sampled_from([UTC, WEST]))
    | st.integers(-(2**63), 2**63 - 1).map(lambda n: EntityProperty(value=n, edm_type="Edm.Int64"))
)
NAMES = st.from_regex("[A-Z][A-Za-z]{0,9}", fullmatch=True)


def without_types_of_texts(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if (k[-11:], v) != ("@odata.type", "Edm.String")}


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES))
def test_a_row_is_written_as_the_sdk_writes_it(row: dict[str, Any]) -> None:
    mine = text_of(row)

    theirs = json.loads(json.dumps(_add_entity_properties(row)))
    assert without_types_of_texts(json.loads(mine)) == without_types_of_texts(theirs)
    assert mine.isascii()


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES))
def test_a_row_is_read_as_the_sdk_reads_it(row: dict[str, Any]) -> None:
    content = json.loads(json.dumps(_add_entity_properties(row)))
    content = {"odata.metadata": "m", "odata.etag": 'W/"1"', "PartitionKey": "p", **content}

    mine, theirs = entity_of(content), sdks_row(content)

    assert repr(sorted(plain(mine).items())) == repr(sorted(plain(theirs).items()))
    assert mine.metadata == theirs.metadata
    assert type(mine) is type(theirs)


def plain(row: Any) -> dict[str, Any]:
    """Times as plain ones, of the SDK's class of its own."""
    return {
        name: datetime.fromtimestamp(0, UTC) + (value - datetime.fromtimestamp(0, UTC))
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


@pytest.mark.parametrize("etag", [{}, {"odata.etag": 'W/"1"'}])
@pytest.mark.parametrize("stamp", [{}, {"Timestamp": "2026-11-27T01:02:03.1234567Z"}])
def test_the_metadata_is_the_sdks(etag: dict[str, str], stamp: dict[str, str]) -> None:
    content = {**etag, **stamp, "Timestamp@odata.type": "Edm.DateTime", "N": 1, "U": "u"}

    mine, theirs = entity_of(content), sdks_row(content)

    assert (dict(mine), mine.metadata) == (dict(theirs), theirs.metadata)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, object(), uuid.uuid4, [1]])
def test_what_the_sdk_does_not_write_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        text_of({"N": value})
    with pytest.raises(TypeError):
        _add_entity_properties({"N": value})
