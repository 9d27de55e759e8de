"""The text of a transaction, held against the SDK's own."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables import EntityProperty, UpdateMode
from azure.data.tables._policies import StorageHeadersPolicy
from azure.data.tables._table_batch import TableBatchOperations
from azure.data.tables.aio import TableClient
from hypothesis import given, settings
from hypothesis import strategies as st

from local.azurite import connection_string
from shared.adapters.table_batch import etags, written
from shared.adapters.table_requests import write_of

MARK = "3d9c3b1e"
ENDPOINT = "http://127.0.0.1:3/devstoreaccount1"
TEXTS = st.text(max_size=40)
VALUES = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.binary(max_size=20)
    | st.floats(0, 2**35).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
)
KEYS = TEXTS.filter(lambda text: not set(text) & set("/\\#?\t\r\n") and text.isprintable())
NAMES = st.from_regex("[A-Z][A-Za-z]{0,9}", fullmatch=True)


def entity(partition: str, key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "PartitionKey": partition, "RowKey": key}


def requests_of(operations: Sequence[Any]) -> list[HttpRequest]:
    client = TableClient.from_connection_string(connection_string("1", "2", "3"), "Rows")
    batch = TableBatchOperations(
        config=client._client._config,
        endpoint=ENDPOINT,
        table_name="Rows",
        is_cosmos_endpoint=False,
    )
    for kind, entity, *options in operations:
        # The row would come back.
        more = {"response_preference": "return-no-content"} if kind == "create" else {}
        batch.add_operation((kind, entity, {**more, **(options[0] if options else {})}))
    return list(map(without_types_of_texts, batch.requests))


def without_types_of_texts(request: HttpRequest) -> HttpRequest:
    """The SDK says of every text that it is one, which the service takes it for anyway."""
    if not request.content:
        return request
    found = json.loads(request.content)
    left = {k: v for k, v in found.items() if (k[-11:], v) != ("@odata.type", "Edm.String")}
    headers = {k: v for k, v in request.headers.items() if not k.startswith("Content-")}
    return HttpRequest(request.method, request.url, headers=headers, json=left)


def by_us(operations: Sequence[Any]) -> bytes:
    rows = [write_of(each, table="Rows", version="2019-02-02") for each in operations]
    return written(rows, MARK, endpoint=ENDPOINT)


def by_the_sdk(requests: Sequence[HttpRequest]) -> bytes:
    inner = HttpRequest("POST", "")
    policies: Any = [StorageHeadersPolicy()]
    inner.set_multipart_mixed(*requests, policies=policies, boundary=f"changeset_{MARK}")
    whole = HttpRequest("POST", "http://127.0.0.1:3/$batch")
    whole.set_multipart_mixed(inner, policies=policies, boundary=f"batch_{MARK}")
    whole.prepare_multipart_body()
    body = whole._data
    assert isinstance(body, bytes)
    return body


def unchanged(etag: str) -> dict[str, Any]:
    return {"etag": f'W/"{etag}"', "match_condition": MatchConditions.IfNotModified}


OPERATIONS = st.lists(
    st.builds(
        lambda kind, key, values, etag: (
            ("create", entity("t", key, values)),
            ("upsert", entity("t", key, values), {"mode": UpdateMode.REPLACE}),
            ("upsert", entity("t", key, values), {"mode": UpdateMode.MERGE}),
            ("update", entity("t", key, values), {"mode": UpdateMode.REPLACE, **unchanged(etag)}),
            ("update", entity("t", key, values), {"mode": UpdateMode.MERGE, **unchanged(etag)}),
            ("delete", entity("t", key, {})),
            ("delete", entity("t", key, {}), unchanged(etag)),
        )[kind],
        st.integers(0, 6),
        KEYS,
        st.dictionaries(NAMES, VALUES, max_size=4),
        st.from_regex("[A-Za-z0-9%']{1,20}", fullmatch=True),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=50)
@given(OPERATIONS)
def test_what_is_sent_is_what_the_sdk_sends(operations: list[Any]) -> None:
    assert by_us(operations) == by_the_sdk(requests_of(operations))


def test_the_types_of_the_sdk_are_kept() -> None:
    number = EntityProperty(value=2**40, edm_type="Edm.Int64")

    text = by_us([("create", entity("t", "a", {"N": number, "S": "\r\n--batch_"}))])

    assert b'"N@odata.type": "Edm.Int64"' in text
    assert b'"S": "\\r\\n--batch_"' in text
    assert b"Edm.String" not in text


def answer(*parts: str) -> bytes:
    """As the service writes it."""
    inner = "changesetresponse_42d9cd30-6263"
    head = f"--batchresponse_e51280c8\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n"
    mime = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    body = "".join(f"--{inner}\r\n{mime}{part}\r\n" for part in parts)
    return f"{head}{body}--{inner}--\r\n--batchresponse_e51280c8--\r\n".encode()


CREATED = (
    "HTTP/1.1 201 Created\r\nDataServiceVersion: 3.0;\r\nETag: W/\"datetime'1'\"\r\n\r\n"
    '{"Detail":"HTTP/1.1 412 Precondition Failed","ETag":"no"}'
)
DELETED = "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n\r\n"
REFUSED = (
    "HTTP/1.1 {status} Refused\r\nContent-ID: 1\r\nContent-Type: application/json\r\n\r\n"
    '{{"odata.error":{{"code":"UpdateConditionNotSatisfied"}}}}'
)


def test_each_row_s_etag_is_read_and_no_word_of_its_content() -> None:
    assert etags(answer(CREATED, DELETED), 2) == ["W/\"datetime'1'\"", ""]


@pytest.mark.parametrize("status", [400, 404, 409, 412, 500])
def test_the_row_that_was_refused_gives_the_status(status: int) -> None:
    with pytest.raises(HttpResponseError) as caught:
        etags(answer(REFUSED.format(status=status)), 3)

    assert caught.value.status_code == status


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", answer(), answer(CREATED), answer(CREATED, DELETED)[:180], b"<html></html>"],
)
def test_an_answer_that_is_not_whole_leaves_open_what_happened(body: bytes) -> None:
    with pytest.raises(HttpResponseError) as caught:
        etags(body, 2)

    assert caught.value.status_code is None
