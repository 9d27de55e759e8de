"""Holds real answers against the OpenAPI document: nothing undocumented is answered."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from local.http_client import Answer, HttpClient, http_client
from shared.web.openapi import openapi_text

DOCUMENT: dict[str, Any] = json.loads(openapi_text())
_CHECKED_FORMATS = jsonschema.FormatChecker(formats=["date-time"])


def _strict(schema: Any) -> Any:
    """What is answered has no property that is not described, though readers are to allow one."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _strict(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        found.setdefault("additionalProperties", False)
    return found


_COMPONENTS = _strict(DOCUMENT["components"])


def operation(method: str, path: str) -> dict[str, Any]:
    method = "get" if method == "HEAD" else method.lower()
    # The more particular path first: one with a literal where another has a parameter.
    for template, item in sorted(DOCUMENT["paths"].items(), key=lambda each: each[0].count("{")):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if method in item and re.fullmatch(pattern, path):
            found: dict[str, Any] = item[method]
            return found
    raise AssertionError(f"{method} {path} is not described")


def check(method: str, url: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    described = operation(method, urlsplit(url).path)["responses"]
    assert str(status) in described, f"{method} {url}: {status} is not described"
    answer = described[str(status)]
    for name, header in answer.get("headers", {}).items():
        if header.get("required"):
            assert name.lower() in {each.lower() for each in headers}, f"no {name}"
    content = answer.get("content")
    if status == HTTPStatus.UNAUTHORIZED and not body:
        # The platform's own, before the app is asked.
        return
    if content is None:
        assert body == b"", f"{status} has a body"
        return
    kind = headers.get("content-type", "").partition(";")[0]
    assert kind in content, f"{kind} is not described"
    if method == "HEAD" or not kind.endswith("json"):
        return
    schema = {**_strict(content[kind]["schema"]), "components": _COMPONENTS}
    validator = jsonschema.Draft202012Validator(schema, format_checker=_CHECKED_FORMATS)
    validator.validate(json.loads(body))


class DescribedClient(HttpClient):
    """Every answer to it must be as the document says."""

    async def ask(self, method: str, address: str, **more: Any) -> Answer:
        answer = await super().ask(method, address, **more)
        check(method, address, answer.status, answer.headers, answer.body)
        return answer


@asynccontextmanager
async def described_client(base: str, **headers: str) -> AsyncIterator[DescribedClient]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http_client(base, headers=given) as client:
        yield DescribedClient(session=client.session, base=base)
