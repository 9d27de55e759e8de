"""Around a deployment, over an `az` that records and answers: drain before, look after."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local.deployment import permissions
from local.deployment.after import Aftermath, expected_functions
from local.deployment.azure import DRAINED, AzureError, FunctionApp, az
from local.deployment.before import drained
from local.deployment.directory import Directory
from local.deployment.drain import OVERRIDE, Drain, sending, switch_on_again
from local.deployment.permissions import GRANTS, TENANT
from local.deployment.report import Line, Verdict, conclude
from local.deployment.smoke import forged_sign_in, judge, timer
from local.listening import serving
from shared.domain.reset import Reset, State
from tests.support.world import SP, TARGET, World

from .stand_ins import StandIn
from .tenant import IDENTITY, Tenant

APP = FunctionApp(group="rg-relink-test", name="func-relink")
ENVIRON = {
    "AZURE_RESOURCE_GROUP": "rg-relink-test",
    "AZURE_FUNCTION_NAME": "func-relink",
    "RELINK_IDENTITY_PRINCIPAL_ID": IDENTITY,
    "RELINK_URL": "https://func-relink.example",
    "RESET_TARGETS": json.dumps({TARGET: {"servicePrincipalId": SP}}),
}
WHICH = "--resource-group rg-relink-test --name func-relink"
SITE = "/subscriptions/s/resourceGroups/rg-relink-test/providers/Microsoft.Web/sites/func-relink"
SHOW = {"id": SITE}


@pytest.fixture
def azure_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    stand_in = StandIn(tmp_path, "az")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return stand_in


def settings(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


class Time:
    """A clock that sleeping moves; what else happens meanwhile is given."""

    def __init__(self, *then: Any) -> None:
        self.now = 0.0
        self.then = list(then)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.then:
            await self.then.pop(0)()


async def world_with(state: State) -> World:
    world = World()
    await world.accept("r1")
    await put(world, state)
    return world


async def put(world: World, state: State) -> None:
    """Move the reset to a state, whatever the engine would say."""
    (key,) = [k for k in world.keys(TARGET) if k.startswith("reset:")]
    entity, _ = world.storage.resets.cells[TARGET, key]
    entity["State"] = str(state)


async def test_what_is_on_the_wire_is_waited_for_and_only_then_resets_are_switched_off(
    azure_cli: StandIn,
) -> None:
    world = await world_with(State.SENDING)
    azure_cli.answer("functionapp config appsettings list", settings(RESETS_ENABLED="true"))
    azure_cli.answer("functionapp config appsettings set", [])
    asked_before: list[list[str]] = []

    async def over() -> None:
        asked_before.append(azure_cli.asked)
        await put(world, State.RESTARTED)

    time = Time(over)
    line = await Drain(
        app=APP, store=world._spectator(), clock=time, sleep=time.sleep, say=lambda _: None
    ).run()

    assert asked_before == [[]], "switching off starts the app again: not while one is sent"
    assert line.verdict is Verdict.GOOD
    assert "after 5 s" in line.says
    assert azure_cli.asked[-1] == (
        f"functionapp config appsettings set {WHICH} --settings RESETS_ENABLED=false "
        f"{DRAINED}=true --output json"
    )


async def test_where_resets_are_off_nothing_is_changed(azure_cli: StandIn) -> None:
    world = await world_with(State.WAITING)
    azure_cli.answer("functionapp config appsettings list", settings(RESETS_ENABLED="false"))

    line = await Drain(app=APP, store=world._spectator()).run()

    assert line.verdict is Verdict.GOOD
    assert not [asked for asked in azure_cli.asked if " set " in asked]


async def test_what_never_ends_stops_the_deployment_and_names_the_way_round(
    azure_cli: StandIn,
) -> None:
    world, time = await world_with(State.SENDING), Time()
    line = await Drain(
        app=APP, store=world._spectator(), clock=time, sleep=time.sleep, say=lambda _: None
    ).run()

    assert line.verdict is Verdict.WRONG
    assert "r1 is still being sent" in line.says
    assert OVERRIDE in line.says
    assert time.now > 600
    assert azure_cli.asked == []


async def test_the_way_round_is_said_and_asks_nobody(azure_cli: StandIn) -> None:
    (line,) = await drained({**ENVIRON, OVERRIDE: "true"})

    assert line.verdict is Verdict.NOT_CHECKED
    assert azure_cli.asked == []


async def test_a_first_deployment_has_nothing_to_drain() -> None:
    assert await drained({}) == []


@pytest.mark.parametrize("state", [s for s in State if s is not State.SENDING])
async def test_only_what_is_being_sent_is_waited_for(state: State) -> None:
    world = await world_with(state)

    assert await sending(world._spectator()) == []


async def test_an_az_that_refuses_is_said_and_stops_nothing(azure_cli: StandIn) -> None:
    azure_cli.answer(
        "functionapp config appsettings list", code=1, err="ERROR: AuthorizationFailed"
    )
    line = await Drain(app=APP, store=World()._spectator()).run()

    assert line.verdict is Verdict.NOT_CHECKED
    assert "AuthorizationFailed" in line.says


async def test_what_a_drain_switched_off_is_switched_on_again_in_one_change(
    azure_cli: StandIn,
) -> None:
    azure_cli.answer(
        "functionapp config appsettings list",
        settings(RESETS_ENABLED="false", **{DRAINED: "true"}),
    )
    azure_cli.answer("functionapp config appsettings set", [])
    line = await switch_on_again(APP)

    assert line is not None
    assert line.verdict is Verdict.GOOD
    changes = [asked for asked in azure_cli.asked if " set " in asked]
    assert len(changes) == 1
    assert f"RESETS_ENABLED=true {DRAINED}=false" in changes[0]


@pytest.mark.parametrize("mark", [{}, {DRAINED: "false"}])
async def test_what_a_person_switched_off_stays_off(
    azure_cli: StandIn, mark: dict[str, str]
) -> None:
    azure_cli.answer(
        "functionapp config appsettings list", settings(RESETS_ENABLED="false", **mark)
    )

    assert await switch_on_again(APP) is None
    assert not [asked for asked in azure_cli.asked if " set " in asked]


async def test_resets_that_stay_off_are_red(azure_cli: StandIn) -> None:
    azure_cli.answer("functionapp config appsettings list", settings(**{DRAINED: "true"}))
    azure_cli.answer("functionapp config appsettings set", code=1, err="ERROR: conflict")
    line = await switch_on_again(APP)

    assert line is not None
    assert line.verdict is Verdict.WRONG
    assert "azd hooks run postdeploy" in line.says


def directory_of(tenant: Tenant) -> permissions.Opened:
    @asynccontextmanager
    async def opened(endpoint: str) -> AsyncIterator[Directory]:
        del endpoint
        yield tenant.directory()

    return opened


def aftermath(tenant: Tenant, *health: Line, environ: dict[str, str] | None = None) -> Aftermath:
    sent: list[str] = []
    time = Time()
    answers = list(health) or [Line(verdict=Verdict.GOOD, what="health", says="ok")]

    async def dry_run(_: Any) -> list[Line]:
        sent.append("dry run")
        return [Line(verdict=Verdict.GOOD, what="dry run")]

    async def look(url: str) -> Line:
        assert url == ENVIRON["RELINK_URL"]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def forged(_: str) -> Line:
        return Line(verdict=Verdict.GOOD, what="a forged sign-in")

    return Aftermath(
        environ=environ or ENVIRON,
        app=APP,
        directory=directory_of(tenant),
        dry_run=dry_run,
        health=look,
        forged=forged,
        clock=time,
        sleep=time.sleep,
    )


def deployed(azure_cli: StandIn, functions: set[str] | None = None) -> None:
    names = expected_functions() if functions is None else functions
    azure_cli.answer("functionapp function list", [{"name": f"func-relink/{n}"} for n in names])
    azure_cli.answer("functionapp show", SHOW)
    azure_cli.answer("rest --method POST")
    azure_cli.answer("functionapp config appsettings list", settings(RESETS_ENABLED="false"))
    azure_cli.answer("functionapp restart")


def verdicts(lines: list[Line]) -> dict[str, Verdict]:
    return {line.what: line.verdict for line in lines}


async def test_after_a_deployment_triggers_functions_health_and_a_dry_run_are_green(
    azure_cli: StandIn,
) -> None:
    deployed(azure_cli)
    lines = await aftermath(Tenant(held={TENANT})).run()

    assert verdicts(lines) == dict.fromkeys(
        ("triggers", "functions", "health", "dry run"), Verdict.GOOD
    )
    assert f"rest --method POST --uri {SITE}/host/default/sync" in " ".join(azure_cli.asked)


async def test_a_missing_permission_is_yellow_and_spends_no_token(azure_cli: StandIn) -> None:
    deployed(azure_cli)
    lines = await aftermath(Tenant()).run()

    assert verdicts(lines)[TENANT] is Verdict.MISSING
    assert verdicts(lines)["dry run"] is Verdict.MISSING
    assert "Privileged Role Administrator" in lines[-2].says
    assert "about a day" in lines[-1].says
    assert conclude(lines) == 0


async def test_where_permissions_may_not_be_read_the_dry_run_asks(azure_cli: StandIn) -> None:
    deployed(azure_cli)
    lines = await aftermath(Tenant(may_read=False)).run()

    assert verdicts(lines)["dry run"] is Verdict.GOOD


async def test_functions_that_never_come_are_red_and_named(azure_cli: StandIn) -> None:
    deployed(azure_cli, expected_functions() - {"sweep", "remediate"})
    lines = await aftermath(Tenant(held={TENANT})).run()
    (line,) = [line for line in lines if line.what == "functions"]

    assert line.verdict is Verdict.WRONG
    assert "missing: remediate, sweep" in line.says


async def test_a_secret_that_the_first_start_could_not_read_takes_one_restart(
    azure_cli: StandIn,
) -> None:
    deployed(azure_cli)
    unresolved = Line(
        verdict=Verdict.WRONG,
        what="health",
        says="WEBHOOK_SECRETS: the Key Vault reference is not resolved",
    )
    good = Line(verdict=Verdict.GOOD, what="health", says="ok")
    lines = await aftermath(Tenant(held={TENANT}), unresolved, good).run()

    assert verdicts(lines)["health"] is Verdict.GOOD
    assert azure_cli.asked.count(f"functionapp restart {WHICH} --output json") == 1


async def test_another_trouble_is_not_restarted_away(azure_cli: StandIn) -> None:
    deployed(azure_cli)
    bad = Line(verdict=Verdict.WRONG, what="health", says="RESET_MAX_AGE: 'soon' is no duration")
    lines = await aftermath(Tenant(held={TENANT}), bad).run()

    assert verdicts(lines)["health"] is Verdict.WRONG
    assert not [asked for asked in azure_cli.asked if "restart" in asked]


async def test_with_sign_in_a_forged_one_is_tried(azure_cli: StandIn) -> None:
    deployed(azure_cli)
    environ = {**ENVIRON, "SIGN_IN_CLIENT_ID": "c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f"}
    lines = await aftermath(Tenant(held={TENANT}), environ=environ).run()

    assert "a forged sign-in" in verdicts(lines)
    assert "a forged sign-in" not in verdicts(await aftermath(Tenant(held={TENANT})).run())


async def test_an_address_that_does_not_answer_is_not_called_checked() -> None:
    line = await forged_sign_in("http://127.0.0.1:9")

    assert line.verdict is Verdict.NOT_CHECKED


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (302, Verdict.GOOD),
        (401, Verdict.GOOD),
        (403, Verdict.GOOD),
        (200, Verdict.WRONG),
        (404, Verdict.WRONG),
    ],
)
async def test_a_forged_sign_in_is_good_only_where_it_is_turned_away(
    status: int, verdict: Verdict
) -> None:
    """A redirect to the sign-in page turns away; to follow it would show a page with 200."""
    headers: list[str] = []

    async def page(request: web.Request) -> web.Response:
        headers.append(request.headers["x-ms-client-principal"])
        return web.Response(status=status, headers={"Location": "/login"})

    async def login(_: web.Request) -> web.Response:
        return web.Response(text="sign in")

    app = web.Application()
    app.router.add_get("/api/resets/forged-sign-in/page", page)
    app.router.add_get("/login", login)
    async with serving(app) as address:
        line = await forged_sign_in(address)

    assert line.verdict is verdict
    assert str(status) in line.says
    assert len(headers) == 1


def test_the_functions_that_are_counted_are_those_of_the_app() -> None:
    found = expected_functions()

    assert {"run_reset", "sweep", "health", "receive_webhook", "decide_reset"} <= found
    assert "respond" not in found
    assert len(found) >= 13


async def test_the_timer_is_waited_for_and_an_old_heartbeat_is_none() -> None:
    world = World()
    since = datetime.now(UTC)
    await world._spectator().beat("sweep", at=since - timedelta(minutes=1))
    silent = await timer(world._spectator(), since=since, within=0)
    await world._spectator().beat("sweep", at=since + timedelta(seconds=1))
    runs = await timer(world._spectator(), since=since, within=0)

    assert (silent.verdict, runs.verdict) == (Verdict.WRONG, Verdict.GOOD)
    assert "ALWAYS_READY_SWEEP" in silent.says


@pytest.mark.parametrize(
    ("detail", "verdict"),
    [
        ("Microsoft Graph answered 403 Forbidden; the permission is missing", Verdict.MISSING),
        ("Microsoft Graph answered 401 UnknownError", Verdict.MISSING),
        ("Microsoft Graph answered 404 Request_ResourceNotFound", Verdict.WRONG),
    ],
)
def test_a_refusal_for_want_of_a_permission_is_yellow(detail: str, verdict: Verdict) -> None:
    reset = Reset(
        id="smoke-1",
        target="aws",
        requested_at=datetime(2026, 11, 25, tzinfo=UTC),
        service_principal_id="x",
        state=State.REFUSED,
        detail=detail,
    )

    assert judge("x", reset).verdict is verdict


async def test_after_provisioning_nothing_is_red_and_who_must_grant_is_said() -> None:
    missing = await permissions.after_provisioning(ENVIRON, directory_of(Tenant()))
    unread = await permissions.after_provisioning(ENVIRON, directory_of(Tenant(may_read=False)))

    assert verdicts(missing) == {TENANT: Verdict.MISSING, "how": Verdict.MISSING}
    assert "before code is deployed" in missing[-1].says
    assert conclude(missing) == conclude(unread) == 0


async def test_after_provisioning_a_deployer_with_the_right_can_grant_by_a_switch() -> None:
    tenant, poor = Tenant(), Tenant(may_grant=False)
    environ = {**ENVIRON, GRANTS: "true"}
    granted = await permissions.after_provisioning(environ, directory_of(tenant))
    refused = await permissions.after_provisioning(environ, directory_of(poor))

    assert tenant.held == {TENANT}
    assert verdicts(granted) == {TENANT: Verdict.GOOD}
    assert conclude(refused) == 0
    assert "Authorization_RequestDenied" in refused[0].says


async def test_an_azure_cli_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(AzureError, match="not on the PATH"):
        await az("account", "show")


async def test_an_azure_cli_that_prints_no_json_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "az").write_text("#!/bin/sh\necho WARNING\n", encoding="utf-8")
    (tmp_path / "az").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    with pytest.raises(AzureError, match="printed no JSON"):
        await az("account", "show")
