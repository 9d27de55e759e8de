"""The linters of the API documents find nothing, and would find what they are there for."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.documents import ASYNCAPI, OPENAPI, SWAGGER
from local.lint.__main__ import BIN, commands, lint

pytestmark = pytest.mark.skipif(
    not (BIN / "redocly").exists(), reason="the linters are not installed; run `make check`"
)

type Spoil = Callable[[dict[str, Any]], object]


async def test_the_published_documents_are_clean() -> None:
    assert await lint(commands()) == []


def no_description(document: dict[str, Any]) -> None:
    del document["paths"]["/api/resets"]["post"]["description"]


def a_tuple(document: dict[str, Any]) -> None:
    parts = document["components"]["schemas"]
    parts["MinutesView"] = {"type": "array", "prefixItems": [{"type": "integer"}], "items": False}


def only_good_answers(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/health"]["get"]["responses"]
    del answers["429"]


def no_such_definition(document: dict[str, Any]) -> None:
    del document["definitions"]["Ticket"]


def no_such_channel(document: dict[str, Any]) -> None:
    del document["channels"]["webhooks"]


@pytest.mark.parametrize(
    ("linter", "document", "spoil"),
    [
        ("spectral", OPENAPI, no_description),
        ("spectral", OPENAPI, a_tuple),
        ("redocly", OPENAPI, only_good_answers),
        ("spectral", SWAGGER, no_such_definition),
        ("asyncapi", ASYNCAPI, no_such_channel),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "stem", value)),
)
async def test_what_is_wrong_is_named(
    linter: str, document: Path, spoil: Spoil, tmp_path: Path
) -> None:
    found = copy.deepcopy(json.loads(document.read_text(encoding="utf-8")))
    spoil(found)
    spoilt = tmp_path / document.name
    spoilt.write_text(json.dumps(found), encoding="utf-8")

    said = await lint({linter: commands(**{document.stem: spoilt})[linter]})

    assert len(said) == 1
