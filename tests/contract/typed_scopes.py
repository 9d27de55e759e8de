"""
What the type checker must refuse: a string or a list in place of the enum's member.

Never run. `mypy --strict` reports an unused ignore, so that each line fails the check on the day
on which it would be allowed.
"""

from shared.adapters.graph.gateway import GraphGateway
from shared.domain.reset import Scope


async def refused(graph: GraphGateway) -> None:
    await graph.restart("sp", "job", Scope.FULL, client_request_id="c", may_begin=bool)
    await graph.restart("sp", "job", "full", client_request_id="c", may_begin=bool)  # type: ignore[arg-type]
    await graph.restart("sp", "job", "Full", client_request_id="c", may_begin=bool)  # type: ignore[arg-type]
    await graph.restart("sp", "job", [Scope.FULL], client_request_id="c", may_begin=bool)  # type: ignore[arg-type]
