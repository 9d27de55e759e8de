"""Starting: what a bad setting does, and what indexing imports."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from local import processes
from local.processes import ROOT
from shared.domain.reset import State
from tests.functional.stack import environ, storage_and_graph
from tests.support import webhooks
from tests.support.patience import PATIENCE

NAMES = [
    "ask_on_page",
    "decide_on_page",
    "decide_reset",
    "follow_up_reset",
    "get_reset",
    "get_status",
    "health",
    "list_resets",
    "list_unreadable",
    "notify",
    "openapi",
    "receive_webhook",
    "remediate",
    "retry_unreadable",
    "run_reset",
    "show_overview",
    "show_reset",
    "submit_reset",
    "sweep",
]
INDEX = Path(__file__).with_name("index_app.py")
ANSWER = Path(__file__).with_name("answer_webhook.py")
HEAVY = (
    "msgraph",
    "msgraph_core",
    "kiota_",
    "azure.identity",
    "msal",
    "httpx",
    "shared.adapters.graph.gateway",
)
NOWHERE = "http://127.0.0.1:9"
SETTINGS = environ("UseDevelopmentStorage=true", NOWHERE)


async def run(*command: str, env: dict[str, str]) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


BY_IDENTITY = {
    **{name: value for name, value in SETTINGS.items() if name != "ResetStorage"},
    "ResetStorage__queueServiceUri": "https://a.queue.core.windows.net",
    "ResetStorage__tableServiceUri": "https://a.table.core.windows.net",
}
IN_AZURE = {**BY_IDENTITY, "IDENTITY_ENDPOINT": NOWHERE, "IDENTITY_HEADER": "h"}
# The credential of azure-identity refuses the tenant's name when it is made.
UNBUILDABLE = {**BY_IDENTITY, "AZURE_TENANT_ID": "no tenant!"}


@pytest.mark.parametrize(
    ("env", "built", "said"),
    [
        ({}, 1, {"settings.bad"}),
        (SETTINGS, 1, set()),
        ({"RESET_TARGETS": "{", "SWEEP_SCHEDULE": "x"}, 1, {"settings.bad"}),
        (IN_AZURE, 1, set()),
        (UNBUILDABLE, 0, set()),
    ],
    ids=["none", "good", "bad", "in azure", "unbuildable"],
)
async def test_the_functions_are_indexed_whatever_the_settings(
    env: dict[str, str], built: int, said: set[str]
) -> None:
    code, out, err = await run(str(INDEX), env=env)

    assert (code, {line.split()[0] for line in err.splitlines()}) == (0, said)
    found = json.loads(out)
    assert (found["functions"], found["built"]) == (NAMES, built)


async def test_each_invocation_meets_what_the_app_could_not_be_built_for() -> None:
    ask = "from shared.bootstrap import application, timer_settings; timer_settings();"
    code, _, err = await run("-c", f"{ask} application()", env=UNBUILDABLE)

    assert code == 1
    assert "ValueError: Invalid tenant ID" in err


@pytest.mark.parametrize("env", [SETTINGS, UNBUILDABLE], ids=["good", "unbuildable"])
async def test_collections_go_on_after_indexing_and_leave_out_what_was_imported(
    env: dict[str, str],
) -> None:
    _, out, _ = await run(str(INDEX), env=env)

    found = json.loads(out)
    assert found["collects"]
    # 95,000 of them when this was written; each pass over them takes 6 to 9 ms.
    assert found["frozen"] > 20 * found["tracked"]


IMPORTS = """
import gc, json
passes = []
gc.callbacks.append(lambda phase, info: passes.append(phase))
import azure.functions
passes.clear()
import function_app
print(json.dumps([len(passes), gc.isenabled()]))
"""


async def test_importing_the_app_waits_for_no_collection() -> None:
    _, out, _ = await run("-c", IMPORTS, env=SETTINGS)

    assert json.loads(out.splitlines()[-1]) == [0, True]


@pytest.mark.parametrize(
    ("env", "builds_with"),
    [(SETTINGS, ()), (IN_AZURE, ("azure.identity", "msal", "requests", "urllib3"))],
    ids=["by key", "by identity"],
)
async def test_indexing_imports_neither_the_graph_sdk_nor_the_queue_client(
    env: dict[str, str], builds_with: tuple[str, ...]
) -> None:
    """Nor the identity, where storage is asked without."""
    _, out, _ = await run(str(INDEX), env=env)

    modules = json.loads(out)["modules"]
    assert "shared.bootstrap" in modules
    # The queue client comes with the first message: most invocations send none.
    queues = ("azure.storage", "shared.adapters.queues", "requests", "urllib3")
    heavy = {*HEAVY, *queues}.difference(builds_with)
    assert [name for name in modules if name.startswith(tuple(heavy))] == []
    assert all(name in modules for name in builds_with)


async def test_answering_a_webhook_imports_neither_and_does_without_graph() -> None:
    async with storage_and_graph() as stack:
        async with processes.host(stack.environ):
            pass  # makes the queues and tables
        env = {
            **stack.environ,
            "GRAPH_ENDPOINT": NOWHERE,
            "WEBHOOK_SENDERS": "@docs/use/senders.example.json",
            "WEBHOOK_SECRETS": json.dumps({k: [v] for k, v in webhooks.SECRETS.items()}),
            "WEBHOOK_KEY": webhooks.SECRETS["servicenow"],
            "WEBHOOK_BODY": json.dumps({"target": "salesforce-prod"}),
        }
        code, out, err = await run(str(ANSWER), env=env)
        found = json.loads(out)
        reset = await stack.reset(found["body"]["id"])

    assert (code, found["status"]) == (0, 202), err
    assert reset is not None
    assert reset.state is State.ACCEPTED
    assert "shared.use_cases.receive_webhook" in found["modules"]
    assert [name for name in found["modules"] if name.startswith(HEAVY)] == []


HTTP = """
import asyncio, json, sys
sys.path.insert(0, ".")
from shared.web.respond import respond
from tests.support.calls import call, principal
from tests.support.world import World

async def ask():
    world = World()
    world.rebuild(WEBSITE_AUTH_ENABLED="True", RESETS_ENABLED="no")
    api, body = world.app.api, {"requestId": "r1", "target": "salesforce-prod"}
    cancel = call({"decision": "cancel"}, reset_id="r1", signed_in=principal())
    one = call(reset_id="r1", signed_in=principal())
    submit = call(body, signed_in=principal())
    asked = [(api.submit_reset, submit), (api.list_resets, one), (api.get_reset, one)]
    asked += [(api.show_reset, one), (api.health, one), (api.openapi, one)]
    asked += [(api.decide_reset, cancel)]
    return [(await respond(endpoint, request)).status for endpoint, request in asked]

print(json.dumps({"statuses": asyncio.run(ask()), "modules": sorted(sys.modules)}))
"""


async def test_no_http_function_imports_the_graph_sdk() -> None:
    _, out, err = await run("-c", HTTP, env={})

    assert err.count("Traceback") == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["statuses"] == [202, 200, 200, 200, 200, 200, 200]
    assert [name for name in found["modules"] if name.startswith(HEAVY)] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RESET_TARGETS": ""}, "RESET_TARGETS: missing; list what may be reset"),
        ({"ResetStorage": ""}, "ResetStorage: missing; give a connection string"),
        ({"GRAPH_ENDPOINT": "https://x"}, "GRAPH_ENDPOINT: that address is not allowed"),
        ({"APPROVAL_EXPIRY": "soon"}, "APPROVAL_EXPIRY: is not an ISO 8601 duration"),
    ],
)
async def test_the_host_stops_with_one_line_that_names_the_setting(
    change: dict[str, str], said: str, tmp_path: Path
) -> None:
    code, out, err = await run("-m", "local.host", env={**SETTINGS, **change, "PORT": "0"})

    lines = [line for line in (out + err).splitlines() if line]
    assert code != 0
    assert len(lines) == 1
    assert said in lines[0]


async def test_without_host_storage_the_timers_forget_and_the_app_runs() -> None:
    async with storage_and_graph() as stack:
        # Once a minute: only such a timer is monitored. A dry run needs no tick of it.
        environ = {**stack.environ, "SWEEP_SCHEDULE": "0 * * * * *", "AzureWebJobsStorage": ""}
        async with processes.host(environ) as (host, _):
            await stack.ask("r1", dryRun=True)
            ended = await stack.ended("r1")
            lines = list(host.lines)

    assert ended.state is State.PREVIEWED
    assert any("timers forget when they last ran" in line for line in lines)
