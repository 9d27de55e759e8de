"""
`python -m local.deployment.before`: the last look before code goes out.

Settings, every target's job through the app's own Graph gateway (as the signed-in engineer), the
permissions of the app's identity, and whether a restart is on its way. What is wrong stops; what
is missing is said.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping

from local.bicep import ROOT
from local.deployment import permissions
from local.deployment.azure import FunctionApp
from local.deployment.directory import DirectoryError, signed_in
from local.deployment.drain import OVERRIDE, Drain
from local.deployment.permissions import Opened
from local.deployment.report import Line, Verdict, conclude
from local.deployment.settings import app_settings
from local.deployment.settings import check as check_settings
from shared.adapters.table_store import TableStore
from shared.bootstrap import LazyGraph, storage_clients
from shared.config import Settings, Storage
from shared.domain.catalogue import Target
from shared.domain.errors import GraphError, Rejected
from shared.domain.ports import Graph
from shared.names import IDS_TABLE, RESETS_TABLE

_NO_RIGHTS = frozenset({401, 403})


async def check(environ: Mapping[str, str], *, graph: Graph, directory: Opened) -> list[Line]:
    """Settings first; where one is wrong nobody else is asked."""
    lines = check_settings(environ)
    if any(line.verdict is Verdict.WRONG for line in lines):
        return lines
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    for alias, target in sorted((settings.catalogue or {}).items()):
        lines.append(await _target(graph, alias, target))
    return [*lines, *await _permissions(environ, settings, directory)]


async def _target(graph: Graph, alias: str, target: Target) -> Line:
    what = f"target {alias}"
    try:
        job = await graph.read_job(target.service_principal_id, target.job_id)
    except Rejected as error:
        if error.status in _NO_RIGHTS:
            says = f"you may not read its job ({error.reason}); the smoke test asks as the app"
            return Line(verdict=Verdict.NOT_CHECKED, what=what, says=says)
        return Line(verdict=Verdict.WRONG, what=what, says=error.reason)
    except GraphError as error:
        return Line(verdict=Verdict.NOT_CHECKED, what=what, says=error.reason)
    return Line(verdict=Verdict.GOOD, what=what, says=f"job {job.id}, {job.code or 'unknown'}")


async def _permissions(
    environ: Mapping[str, str], settings: Settings, directory: Opened
) -> list[Line]:
    what = "permissions in Microsoft Graph"
    if not environ.get("RELINK_IDENTITY_PRINCIPAL_ID"):
        says = "there is no identity yet; provision first"
        return [Line(verdict=Verdict.NOT_CHECKED, what=what, says=says)]
    try:
        wish = permissions.wanted(environ)
        async with directory(settings.graph_endpoint) as found:
            lines = await permissions.look(found, wish)
    except DirectoryError as error:
        verdict = Verdict.NOT_CHECKED if error.forbidden else Verdict.WRONG
        return [Line(verdict=verdict, what=what, says=str(error))]
    if any(line.verdict is Verdict.MISSING for line in lines):
        lines.append(Line(verdict=Verdict.MISSING, what="how", says=permissions.HOW))
    return lines


async def drained(environ: Mapping[str, str]) -> list[Line]:
    """Wait until nothing is being sent, before the deployment ends what is running."""
    what = "restarts under way"
    app = FunctionApp.of(environ)
    storage = Storage(
        queue_uri=environ.get("RELINK_QUEUE_URI", ""), table_uri=environ.get("RELINK_TABLE_URI", "")
    )
    if environ.get(OVERRIDE) == "true":
        says = f"{OVERRIDE} is true: what is being sent is cut short"
        return [Line(verdict=Verdict.NOT_CHECKED, what=what, says=says)]
    if app is None or not storage.table_uri:
        return []
    if environ.get("RELINK_STORAGE_IS_PUBLIC", "true").lower() == "false":
        says = "storage answers in its virtual network only; see that nothing is `sending` there"
        return [Line(verdict=Verdict.NOT_CHECKED, what=what, says=says)]
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    tables, queues = storage_clients(settings, storage)
    async with tables, queues:
        store = TableStore(
            tables.get_table_client(RESETS_TABLE),
            tables.get_table_client(IDS_TABLE),
            new_id=secrets.token_hex,
        )
        return [await Drain(app=app, store=store).run()]


async def run(environ: Mapping[str, str]) -> int:
    settings = Settings.from_environ(app_settings(environ), app_dir=ROOT)
    if settings.problems:
        # The gateway opens for no app that has one.
        return conclude(check_settings(environ))
    gateway = await LazyGraph(settings)()
    try:
        lines = await check(environ, graph=gateway, directory=signed_in)
    finally:
        await gateway.close()  # type: ignore[attr-defined]  # the port has no end, the adapter has
    if not any(line.verdict is Verdict.WRONG for line in lines):
        lines += await drained(environ)
    return conclude(lines)


if __name__ == "__main__":
    print("Before the deployment:", flush=True)
    sys.exit(asyncio.run(run(os.environ)))
