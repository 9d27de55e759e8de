"""
How each ticket system is addressed, signed in to, written to and read, as its API documents it.

The sources stand in the modules of shared/adapters/notifiers. What is not here is no call of that
system: a stand-in takes it for an error of ours.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.domain.notifier_kinds import NotifierKind

SYS_ID: Final = "9d385017c611228701d22104cc95c371"
RECORDS: Final[Mapping[str, str]] = {
    "INC0012345": "incident",
    "RITM0010001": "sc_req_item",
    "CHG0030001": "change_request",
    "REQ0010001": "sc_request",
    "SCTASK0010001": "sc_task",
}
"""ServiceNow's records by number: each kind lies in a table of its own."""

Query = Mapping[str, str]
Page = Callable[[list[str], Query], Any]
"""From the comments, oldest first, to the answer that the call with this query gets."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """
    One system. `ways` are headers of which one shows who calls, `headers` those that all calls
    carry, `queries` what a read may be asked, by name and pattern.
    """

    write: tuple[str, str]
    status: int
    answer: Any
    tickets: tuple[str, ...] = ()
    listed: str = ""
    page: Page = lambda texts, _: texts
    ways: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    queries: Mapping[str, str] = field(default_factory=dict)


def _basic(user: str, password: str) -> tuple[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return ("Authorization", re.escape(f"Basic {pair}"))


_BEARER: Final = ("Authorization", r"Bearer given")
"""Of a token that the stand-in gave."""


def _atlassian(texts: list[str], query: Query) -> Any:
    """Oldest first, unless `orderBy` says otherwise; 5,000 at most, of which a page is cut."""
    ordered = texts[::-1] if query.get("orderBy") == "-created" else texts
    most = int(query.get("maxResults", "5000"))
    listed = [{"body": text} for text in ordered[:most]]
    return {"startAt": 0, "maxResults": most, "total": len(texts), "comments": listed}


def _zendesk(texts: list[str], query: Query) -> Any:
    """Oldest first, unless `sort` says otherwise; a page holds a hundred at most."""
    ordered = texts[::-1] if query.get("sort") == "-created_at" else texts
    listed = ordered[: min(int(query.get("page[size]", "100")), 100)]
    return {
        "comments": [{"body": text, "public": False} for text in listed],
        "meta": {"has_more": len(listed) < len(texts)},
    }


def _numbered(texts: list[str], query: Query, *, usual: int, most: int) -> list[str]:
    size = min(int(query.get("per_page", usual)), most)
    begin = (int(query.get("page", "1")) - 1) * size
    return texts[begin : begin + size]


def _github(texts: list[str], query: Query) -> Any:
    """Ascending by id, whatever is asked."""
    return [{"body": text} for text in _numbered(texts, query, usual=30, most=100)]


def _freshservice(texts: list[str], query: Query) -> Any:
    listed = _numbered(texts, query, usual=10, most=10)
    return {"conversations": [{"body": text, "private": True} for text in listed]}


def _atlassian_api(path: str, answer: Any) -> Api:
    """Both kinds are read by the platform's list."""
    return Api(
        write=("POST", path),
        status=201,
        answer=answer,
        tickets=("IT-42",),
        listed=r"/rest/api/3/issue/IT-42/comment",
        page=_atlassian,
        ways=(_basic("relink@contoso.com", "hush"), _BEARER),
        queries={"orderBy": r"-created", "maxResults": r"[1-9]\d{0,3}"},
    )


_RECORD: Final = rf"/api/now/table/(?:{'|'.join(RECORDS.values())})/{SYS_ID}"

APIS: Final[Mapping[NotifierKind, Api]] = {
    NotifierKind.SERVICENOW: Api(
        write=("PATCH", _RECORD),
        status=200,
        answer={"result": {"sys_id": SYS_ID}},
        tickets=tuple(RECORDS),
        listed=_RECORD,
        page=lambda texts, _: {"result": {"work_notes": "\n\n".join(texts[::-1])}},
        ways=(_basic("relink", "hush"), _BEARER, ("x-sn-apikey", r"hush|k")),
        headers=(("Accept", r"application/json"),),
        queries={
            "sysparm_query": r"number=[A-Z]+\d+",
            "sysparm_fields": r"sys_id|work_notes",
            "sysparm_limit": r"1",
            "sysparm_display_value": r"true",
        },
    ),
    NotifierKind.JIRA: _atlassian_api(r"/rest/api/3/issue/IT-42/comment", {"id": "10000"}),
    NotifierKind.JSM: _atlassian_api(
        r"/rest/servicedeskapi/request/IT-42/comment", {"id": "10000", "public": False}
    ),
    NotifierKind.ZENDESK: Api(
        write=("PUT", r"/api/v2/tickets/35436\.json"),
        status=200,
        answer={"ticket": {"id": 35436}},
        tickets=("35436",),
        listed=r"/api/v2/tickets/35436/comments\.json",
        page=_zendesk,
        ways=(_basic("relink/token", "hush"), _BEARER),
        queries={"sort": r"-created_at", "page[size]": r"[1-9]\d?|100"},
    ),
    NotifierKind.GITHUB: Api(
        write=("POST", r"/repos/octo/identity/issues/42/comments"),
        status=201,
        answer={"id": 1},
        tickets=("octo/identity#42",),
        listed=r"/repos/octo/identity/issues/42/comments",
        page=_github,
        ways=(("Authorization", r"Bearer (?:hush|k|given)"),),
        headers=(
            ("Accept", r"application/vnd\.github\+json"),
            ("X-GitHub-Api-Version", r"2022-11-28"),
            # Without one GitHub answers 403.
            ("User-Agent", r".+"),
        ),
        queries={
            "since": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
            "per_page": r"[1-9]\d?|100",
            "page": r"[1-9]\d*",
        },
    ),
    NotifierKind.PAGERDUTY: Api(
        write=("POST", r"/incidents/PT4KHLK/notes"),
        status=200,
        answer={"note": {"id": "PWL7QXS"}},
        tickets=("PT4KHLK",),
        listed=r"/incidents/PT4KHLK/notes",
        page=lambda texts, _: {"notes": [{"content": text} for text in texts[::-1]]},
        ways=(("Authorization", r"Token token=(?:hush|k)"),),
        headers=(
            ("Accept", r"application/vnd\.pagerduty\+json;version=2"),
            ("From", r"relink@contoso\.com"),
        ),
    ),
    NotifierKind.FRESHSERVICE: Api(
        write=("POST", r"/api/v2/tickets/264/notes"),
        status=201,
        answer={"conversation": {"id": 1}},
        tickets=("INC-264",),
        listed=r"/api/v2/tickets/264/conversations",
        page=_freshservice,
        ways=(_basic("hush", "X"),),
        queries={"per_page": r"[1-9]\d?|100", "page": r"[1-9]\d*"},
    ),
    NotifierKind.TEAMS: Api(write=("POST", r"/workflows/x/triggers"), status=202, answer=None),
    NotifierKind.SLACK: Api(write=("POST", r"/services/T0/B0/x"), status=200, answer="ok"),
    NotifierKind.WEBHOOK: Api(
        write=("POST", r"/hook"),
        status=204,
        answer=None,
        headers=(
            ("webhook-id", r"[^.]+"),
            ("webhook-timestamp", r"\d{10}"),
            ("webhook-signature", r"v1,[A-Za-z0-9+/]+=*(?: v1,[A-Za-z0-9+/]+=*)*"),
        ),
    ),
}


def of_record(path: str, query: Query) -> str | None:
    """Return the number that ServiceNow is asked to look up, where its table may hold it."""
    number = query.get("sysparm_query", "").removeprefix("number=")
    table = RECORDS.get(number)
    return number if table is not None and path == f"/api/now/table/{table}" else None
