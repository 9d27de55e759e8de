"""The OpenAPI document: valid, published, and neither more nor less than the functions."""

import json
import runpy
from functools import cache
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from local.documents import DOCS, OPENAPI
from shared.web.openapi import openapi_text
from tests.support.described import DOCUMENT, check, operation

PREFIX = "/api/"


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): found
        for path, item in DOCUMENT["paths"].items()
        for method, found in item.items()
        if method != "parameters"
    }


@cache
def routes() -> dict[tuple[str, str], str]:
    """Method and path of each HTTP function, with its authorization level."""
    # A copy of its own: an app can be indexed once.
    copy = runpy.run_path(str(DOCS.parent / "function_app.py"))
    found = {}
    for each in copy["app"].get_functions():
        trigger = json.loads(each.get_function_json())["bindings"][0]
        if trigger["type"] == "httpTrigger":
            for method in trigger["methods"]:
                found[method.lower(), PREFIX + trigger["route"]] = trigger["authLevel"]
    return found


def test_the_document_is_valid_and_the_published_copy_is_in_step() -> None:
    validate(DOCUMENT)

    assert OPENAPI.read_text(encoding="utf-8") == openapi_text()


def test_every_http_function_is_described_and_nothing_else() -> None:
    served = {place for place in routes() if place[0] != "head"}

    assert set(operations()) == served


def test_where_there_is_a_get_there_is_a_head() -> None:
    places = routes()

    assert {path for method, path in places if method == "get"} == {
        path for method, path in places if method == "head"
    }


def test_a_key_is_asked_for_where_the_platform_asks_for_one() -> None:
    keys = DOCUMENT["security"]
    for place, level in routes().items():
        if place in operations():
            asked = operations()[place].get("security", keys) == keys
            assert asked is (level.upper() == "FUNCTION"), place


def test_operation_ids_are_unique_and_everything_answers_something_good() -> None:
    found = operations()

    assert len({each["operationId"] for each in found.values()}) == len(found)
    assert all({"200", "202", "303"} & set(each["responses"]) for each in found.values())
    assert all(each["summary"] and each["tags"] for each in found.values())


def test_the_examples_are_what_their_schemas_allow() -> None:
    count = 0
    for found in operations().values():
        contents = [
            *found.get("requestBody", {}).get("content", {}).values(),
            *(c for r in found["responses"].values() for c in r.get("content", {}).values()),
        ]
        for content in contents:
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            examples = [e["value"] for e in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            for example in examples:
                jsonschema.Draft202012Validator(schema).validate(example)
                count += 1
    assert count >= 5


def test_the_check_of_answers_refuses_what_is_not_described() -> None:
    url = "https://x/api/resets"
    json_type = {"content-type": "application/json"}
    good = json.dumps({"value": [], "nextLink": None, "continuation": None}).encode()

    check("GET", url, 200, json_type, good)
    assert operation("HEAD", "/api/resets")["operationId"] == "listResets"
    for status, headers, body in (
        (418, json_type, good),
        (200, {"content-type": "text/plain"}, good),
        (401, {}, b"no"),
        (503, {"content-type": "application/problem+json"}, b"{}"),
    ):
        with pytest.raises(AssertionError):
            check("GET", url, status, headers, body)
    with pytest.raises(jsonschema.ValidationError):
        check(
            "GET",
            url,
            200,
            json_type,
            b'{"value": [], "nextLink": null, "continuation": null, "more": 1}',
        )
    with pytest.raises(AssertionError):
        check("GET", "https://x/api/other", 200, json_type, good)
