"""What runs around a deployment: hooks, the checks before, the dry run after."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local import processes
from local.bicep import INFRA, ROOT
from local.deployment import before, permissions, settings, smoke
from local.deployment.directory import Directory
from local.deployment.permissions import TENANT
from local.deployment.report import Line, Verdict, conclude
from local.deployment.smoke import Smoke, judge
from local.emulator import serve
from shared.adapters.graph.gateway import GraphGateway
from shared.bootstrap import LazyGraph
from shared.config import Settings
from shared.domain.reset import Reset, State
from shared.names import RESETS_QUEUE, TABLES
from tests.functional.stack import SALESFORCE, Stack, running, storage_and_graph
from tests.support.patience import PATIENCE

from .tenant import IDENTITY, Tenant

ENVIRON = {
    "AZURE_ENV_NAME": "test",
    "AZURE_LOCATION": "westeurope",
    "ALERT_EMAILS": "identity-team@example.com",
    "RESETS_ENABLED": "true",
    "RESET_TARGETS": json.dumps({"salesforce-prod": {"servicePrincipalId": SALESFORCE}}),
}


# Nobody can sign in to it: what needs two persons could not be approved.
GOOD = {"settings": Verdict.GOOD, "approvals": Verdict.MISSING}


def verdicts(lines: list[Line]) -> dict[str, Verdict]:
    return {line.what: line.verdict for line in lines}


def test_the_check_reads_what_the_template_reads() -> None:
    given = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    read = set(re.findall(r"readEnvironmentVariable\('([A-Z_]+)'", given))
    within = re.search(r"param settings = \{(.*?)\n\}", given, re.DOTALL)
    needed = set(re.findall(r"readEnvironmentVariable\('([A-Z_]+)'\)", given))

    assert within is not None
    assert set(settings.CHOSEN) == {
        *re.findall(r"^  ([A-Z_]+):", within[1], re.MULTILINE),
        "PUBLIC_URL",
    }
    assert set(settings.CHOSEN) <= read
    assert set(settings.NEEDED) == needed


def test_settings_are_good_missing_or_wrong_each_by_name() -> None:
    good = settings.check(ENVIRON)
    wrong = settings.check(
        {**ENVIRON, "GRAPH_ENDPOINT": "https://evil.example", "ALERT_EMAILS": ""}
    )
    off = settings.check({**ENVIRON, "RESETS_ENABLED": ""})

    assert verdicts(good) == GOOD
    assert verdicts(wrong) == {"ALERT_EMAILS": Verdict.WRONG, "GRAPH_ENDPOINT": Verdict.WRONG}
    assert verdicts(off) == {**GOOD, "RESETS_ENABLED": Verdict.MISSING}


def test_where_an_approval_could_not_be_given_the_check_says_so_and_stops_nothing() -> None:
    entry = {"servicePrincipalId": SALESFORCE, "approvers": 2, "notify": "desk"}
    environ = {**ENVIRON, "RESET_TARGETS": json.dumps({"aws": entry})}

    lines = settings.check(environ)
    with_sign_in = settings.check({**environ, "SIGN_IN_CLIENT_ID": "an-id"})

    assert verdicts(lines) == {**GOOD, "approvals of aws": Verdict.MISSING}
    assert "nobody can sign in" in next(x.says for x in lines if x.what == "approvals")
    assert "no approval could be given" in next(x.says for x in lines if x.what.endswith("aws"))
    assert verdicts(with_sign_in) == {"settings": Verdict.GOOD}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTANCE_MEMORY_MB", "1024"),
        ("REMEDIATION_MAY_BE_SILENT", "PT3H"),
        ("PRIVATE_NETWORK", "yes"),
        ("ALERTS_ON", ""),
        ("RESETS_ENABLED", "True"),
    ],
)
def test_what_the_template_would_refuse_is_refused_first(name: str, value: str) -> None:
    assert verdicts(settings.check({**ENVIRON, name: value}))[name] is Verdict.WRONG


def test_notifiers_of_the_environment_are_said_to_have_no_part_in_it() -> None:
    found = settings.check({**ENVIRON, "NOTIFIERS": "{}"})

    assert verdicts(found)["NOTIFIERS"] is Verdict.NOT_CHECKED


def test_the_check_knows_the_values_that_the_template_knows() -> None:
    main = (INFRA / "main.bicep").read_text(encoding="utf-8")
    allowed = {
        name: re.findall(r"'(\w+)'", values)
        for values, name in re.findall(r"@allowed\(\[(.*?)\]\)\nparam (\w+)", main)
    }

    assert list(settings.ONE_OF["REMEDIATION_MAY_BE_SILENT"]) == allowed["remediationMayBeSilent"]
    assert list(settings.ONE_OF["AZURE_PRINCIPAL_TYPE"]) == ["", *allowed["principalType"]]


def test_a_connection_string_of_this_machine_has_no_part_in_it() -> None:
    assert settings.check({**ENVIRON, "ResetStorage": "nonsense"}) == settings.check(ENVIRON)


SENDERS = {
    name: {"scheme": scheme, "format": "relink", "targets": ["salesforce-prod"], **more}
    for name, scheme, more in (
        ("sn", "header", {"header": "x-relink-secret"}),
        ("own", "standard-webhooks", {}),
        ("gh", "github", {}),
        ("zd", "zendesk", {}),
    )
}


def test_senders_whose_secrets_lie_in_the_vault_are_good_and_a_reminder() -> None:
    lines = settings.check({**ENVIRON, "WEBHOOK_SENDERS": json.dumps(SENDERS)})

    assert verdicts(lines) == {
        **GOOD,
        "secret webhook-secrets": Verdict.NOT_CHECKED,
    }
    assert "gh, own, sn, zd" in lines[-1].says


def test_a_sender_that_is_wrong_is_found_though_its_secret_is_not_seen() -> None:
    senders = {**SENDERS, "zz": {"scheme": "carrier-pigeon"}}
    lines = settings.check({**ENVIRON, "WEBHOOK_SENDERS": json.dumps(senders)})

    assert verdicts(lines)["WEBHOOK_SENDERS"] is Verdict.WRONG


def test_sign_in_with_senders_in_a_file_needs_their_names(tmp_path: Path) -> None:
    file = tmp_path / "senders.json"
    file.write_text(json.dumps({"sn": SENDERS["sn"]}), encoding="utf-8")
    environ = {
        **ENVIRON,
        "WEBHOOK_SENDERS": f"@{file}",
        "SIGN_IN_CLIENT_ID": "c0a8012e",
    }

    assert verdicts(settings.check(environ))["WEBHOOK_SENDER_NAMES"] is Verdict.WRONG
    named = settings.check({**environ, "WEBHOOK_SENDER_NAMES": "sn"})
    assert "WEBHOOK_SENDER_NAMES" not in verdicts(named)


def test_only_what_is_wrong_stops_a_deployment(capsys: pytest.CaptureFixture[str]) -> None:
    codes = {v: conclude([Line(verdict=v, what="x", says="y")]) for v in Verdict}

    assert codes == {v: int(v is Verdict.WRONG) for v in Verdict}
    assert "wrong        x: y" in capsys.readouterr().out


@asynccontextmanager
async def graph(url: str) -> AsyncIterator[GraphGateway]:
    gateway = await LazyGraph(
        Settings.from_environ(
            {**settings.app_settings(ENVIRON), "GRAPH_ENDPOINT": url}, app_dir=ROOT
        )
    )()
    assert isinstance(gateway, GraphGateway)
    try:
        yield gateway
    finally:
        await gateway.close()


def directory_of(tenant: Tenant) -> permissions.Opened:
    @asynccontextmanager
    async def opened(endpoint: str) -> AsyncIterator[Directory]:
        del endpoint
        yield tenant.directory()

    return opened


async def checked(
    tenant: Tenant, targets: dict[str, str] | None = None, *, granted: bool = True
) -> list[Line]:
    """The check before a deployment, over the emulated Graph and *tenant*."""
    async with serve() as emulator, graph(emulator.url) as gateway:
        emulator.directory.state.permission = "granted" if granted else "missing"
        environ = {
            **ENVIRON,
            "GRAPH_ENDPOINT": emulator.url,
            "RELINK_IDENTITY_PRINCIPAL_ID": IDENTITY,
        }
        if targets is not None:
            catalogue = {alias: {"servicePrincipalId": i} for alias, i in targets.items()}
            environ["RESET_TARGETS"] = json.dumps(catalogue)
        return await before.check(environ, graph=gateway, directory=directory_of(tenant))


async def test_before_a_deployment_every_target_has_its_job() -> None:
    lines = await checked(Tenant(held={TENANT}))

    assert verdicts(lines) == {
        **GOOD,
        "target salesforce-prod": Verdict.GOOD,
        TENANT: Verdict.GOOD,
    }
    assert "Active" in next(x.says for x in lines if x.what == "target salesforce-prod")


async def test_a_target_that_is_not_there_stops_the_deployment() -> None:
    aws = "c41f7a92-0d6e-4b83-a5f7-6e2c9d1b8f04"
    nowhere = "99999999-9999-4999-8999-999999999999"
    lines = await checked(Tenant(held={TENANT}), {"aws": aws, "gone": nowhere})
    found = verdicts(lines)

    assert found["target gone"] is Verdict.WRONG
    assert found["target aws"] is Verdict.WRONG
    assert "has 2 provisioning jobs" in next(x.says for x in lines if x.what == "target aws")


async def test_who_may_not_read_jobs_is_told_that_nothing_was_checked() -> None:
    found = verdicts(await checked(Tenant(held={TENANT}), granted=False))

    assert found["target salesforce-prod"] is Verdict.NOT_CHECKED


async def test_a_missing_permission_does_not_stop_but_says_how() -> None:
    lines = await checked(Tenant())

    assert verdicts(lines)[TENANT] is Verdict.MISSING
    assert verdicts(lines)["how"] is Verdict.MISSING
    assert conclude(lines) == 0


async def test_permissions_that_may_not_be_read_are_not_checked() -> None:
    found = verdicts(await checked(Tenant(may_read=False)))

    assert found["permissions in Microsoft Graph"] is Verdict.NOT_CHECKED


async def test_a_wrong_setting_asks_nobody() -> None:
    class Nobody:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"asked: {name}")

    lines = await before.check(
        {**ENVIRON, "RESET_DAILY_BUDGET": "many"},
        graph=Nobody(),  # type: ignore[arg-type]
        directory=directory_of(Tenant()),
    )

    assert verdicts(lines) == {"RESET_DAILY_BUDGET": Verdict.WRONG}


def smoke_of(stack: Stack, request_id: str = "smoke-1", *, within: float = PATIENCE) -> Smoke:
    return Smoke(
        queues=stack.queues,
        store=stack.store,
        target="salesforce-prod",
        request_id=request_id,
        every=0.1,
        within=within,
    )


async def test_the_dry_run_goes_all_the_way_and_sees_a_lost_permission() -> None:
    async with storage_and_graph() as stack:
        async with processes.host(stack.environ) as (_, url):
            good, health = await smoke_of(stack).run(), await smoke.health(url)
            await stack.graph.put("/_emulator/state", json={"permission": "missing"})
            refused = await smoke_of(stack, "smoke-2").run()
        gone = await smoke.health(url)

        assert await stack.restarts() == []
    assert good.verdict is Verdict.GOOD, good
    assert "previewed" in good.says
    assert health.verdict is Verdict.GOOD
    assert gone.verdict is Verdict.WRONG
    assert refused.verdict is Verdict.MISSING
    assert "Synchronization.ReadWrite.All" in refused.says


async def test_the_dry_run_asks_graph_also_while_resets_are_switched_off() -> None:
    async with running({"RESETS_ENABLED": "false"}) as stack:
        line = await smoke_of(stack).run()

        assert line.verdict is Verdict.GOOD, line
        assert await stack.restarts() == []


async def test_the_dry_run_fails_without_a_queue_and_without_an_app() -> None:
    async with storage_and_graph() as stack:
        without_queue = await smoke_of(stack, within=1).run()
        await stack.queues.create_queue(RESETS_QUEUE)
        for table in TABLES:
            await stack.tables.create_table(table)
        without_app = await smoke_of(stack, within=1).run()

    assert without_queue.verdict is without_app.verdict is Verdict.WRONG
    assert "took no message (404)" in without_queue.says
    assert "in time" in without_app.says


async def test_storage_in_a_private_network_is_not_called_checked() -> None:
    (line,) = await smoke.dry_run({**ENVIRON, "RELINK_STORAGE_IS_PUBLIC": "false"})

    assert line.verdict is Verdict.NOT_CHECKED


async def test_a_smoke_test_without_addresses_is_wrong() -> None:
    (line,) = await smoke.dry_run(ENVIRON)

    assert line.verdict is Verdict.WRONG
    assert "RELINK_QUEUE_URI" in line.says


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAXIMUM_INSTANCE_COUNT", "0"),
        ("LOG_RETENTION_DAYS", "7"),
        ("MONTHLY_BUDGET", "-1"),
        ("RESOURCE_NAMES", "{"),
        ("RESOURCE_NAMES", '{"function": "func-x"}'),
        ("RESOURCE_TAGS", '{"costCenter": 4711}'),
        ("PRIVATE_DNS", "yes"),
    ],
)
def test_a_value_that_the_template_cannot_take_is_named(name: str, value: str) -> None:
    assert verdicts(settings.check({**ENVIRON, name: value}))[name] is Verdict.WRONG


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"APP_SUBNET_ID": "/x", "PRIVATE_NETWORK": "true"}, "APP_SUBNET_ID"),
        ({"APP_SUBNET_ID": "/x", "ENDPOINT_SUBNET_ID": "/y"}, "PRIVATE_NETWORK"),
        ({"LOG_WORKSPACE_ID": "/w", "AUDIT_WORKSPACE_ID": "/W"}, "AUDIT_WORKSPACE_ID"),
        ({"RESOURCE_GROUP_EXISTS": "true"}, "RESOURCE_GROUP_NAME"),
    ],
)
def test_what_goes_together_is_given_together(changes: dict[str, str], named: str) -> None:
    assert verdicts(settings.check({**ENVIRON, **changes}))[named] is Verdict.WRONG


def test_few_instances_are_a_warning() -> None:
    few, enough = ({**ENVIRON, "MAXIMUM_INSTANCE_COUNT": n} for n in ("10", "40"))

    assert verdicts(settings.check(few))["MAXIMUM_INSTANCE_COUNT"] is Verdict.NOT_CHECKED
    assert "MAXIMUM_INSTANCE_COUNT" not in verdicts(settings.check(enough))


@pytest.mark.parametrize(
    ("state", "before", "verdict"),
    [
        pytest.param(State.PREVIEWED, "{}", Verdict.GOOD, id="previewed"),
        pytest.param(State.PREVIEWED, "", Verdict.WRONG, id="graph-not-asked"),
        pytest.param(State.REFUSED, "{}", Verdict.WRONG, id="refused"),
        pytest.param(State.ACCEPTED, "", Verdict.WRONG, id="not-ended"),
    ],
)
def test_only_a_preview_that_has_seen_the_job_is_good(
    state: State, before: str, verdict: Verdict
) -> None:
    reset = Reset(
        id="smoke-1",
        target="aws",
        requested_at=datetime(2026, 11, 25, tzinfo=UTC),
        service_principal_id="x",
        state=state,
        before=before,
    )

    assert judge("x", reset).verdict is verdict
