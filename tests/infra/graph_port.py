"""Microsoft Graph as the deployment's directory asks it, answered by a function."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.http_client import Answer

URL = "https://graph.microsoft.com/v1.0/"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """*path* is what follows the version, without the query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class AnsweredGraph:
    """Everything goes through text, as on the wire."""

    answer: Callable[[Asked], Answer]
    base: str = URL

    async def ask(self, method: str, address: str, **more: Any) -> Answer:
        url = urlsplit(address if address.startswith("https://") else self.base + address)
        asked = Asked(
            method=method,
            path=url.path.removeprefix("/v1.0/"),
            query=dict(parse_qsl(url.query)),
            headers=more.pop("headers", {}),
            body=json.loads(json.dumps(more.pop("json", None))),
        )
        assert more == {}
        return self.answer(asked)


def reply(status: int, body: Any = None) -> Answer:
    return Answer(status=status, body=b"" if body is None else json.dumps(body).encode())
