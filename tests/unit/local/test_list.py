"""`list` follows the app's pages."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from local.commands.list_resets import MOST, every_page
from local.errors import Failed


@dataclass
class Pages:
    """Answers page after page, and keeps what it was asked."""

    pages: dict[str, dict[str, Any]]
    asked: list[dict[str, str]] = field(default_factory=list)

    async def get(self, path: str, **query: str) -> dict[str, Any] | None:
        assert path == "/resets"
        self.asked.append(query)
        return self.pages.get(query.get("continuation", ""))


async def test_every_page_is_read_also_after_an_empty_one() -> None:
    pages = Pages(
        {
            "": {"value": [1], "continuation": "a"},
            "a": {"value": [], "continuation": "b"},
            "b": {"value": [2], "continuation": None},
        }
    )

    found = await every_page(pages, {"target": "sales"})

    assert (found["value"], found["continuation"]) == ([1, 2], None)
    assert [each.get("continuation") for each in pages.asked] == [None, "a", "b"]
    assert {each["target"] for each in pages.asked} == {"sales"}


async def test_a_list_without_an_end_is_cut_and_one_that_leads_to_itself_is_an_error() -> None:
    many = Pages({"": {"value": list(range(MOST)), "continuation": "a"}})
    assert (await every_page(many, {}))["continuation"] == "a"

    with pytest.raises(Failed):
        await every_page(Pages({k: {"value": [], "continuation": "a"} for k in ("", "a")}), {})


async def test_no_page_at_all_is_an_empty_list() -> None:
    assert await every_page(Pages({}), {}) == {"value": []}
