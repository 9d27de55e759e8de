"""infra/ by the real compiler; where there is none, what is committed, by its sources' hash."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.bicep import (
    COMPILED,
    INFRA,
    SCENARIOS,
    SOURCES,
    TEMPLATES,
    CompileError,
    Compiler,
    compile_all,
    compiled_file,
    compiler,
    copied,
    find_compiler,
    snapshot_file,
    sources,
)

from .templates import Deployment, template, templates_within, without_generator

CHECKED_ON = "2026-11-25"
"""The day that use-recent-api-versions is asked for: growing old must not turn CI red."""


@pytest.fixture(scope="module")
def tool() -> Iterator[Compiler]:
    path = find_compiler(os.environ)
    if path is None:
        pytest.skip(
            "no Bicep compiler (BICEP, PATH, ../shared/tools); the hashes are checked alone"
        )
    with compiler(path) as found:
        yield found


@pytest.fixture
def infra() -> Iterator[Path]:
    with copied() as copy:
        config = json.loads((copy / "bicepconfig.json").read_text(encoding="utf-8"))
        config["analyzers"]["core"]["rules"]["use-recent-api-versions"]["test-today"] = CHECKED_ON
        (copy / "bicepconfig.json").write_text(json.dumps(config), encoding="utf-8")
        yield copy


def test_what_is_compiled_belongs_to_these_sources() -> None:
    assert json.loads(SOURCES.read_text(encoding="utf-8")) == sources(), "run `make bicep`"


def test_nothing_else_lies_with_what_is_compiled() -> None:
    expected = {SOURCES, *map(compiled_file, TEMPLATES), *map(snapshot_file, SCENARIOS)}

    assert set(COMPILED.iterdir()) == expected


def test_the_compiler_makes_what_is_committed(tool: Compiler, infra: Path) -> None:
    for path, made in compile_all(tool, infra).items():
        committed = json.loads(path.read_text(encoding="utf-8"))
        assert without_generator(committed) == without_generator(made), f"{path.name}: `make bicep`"


def test_the_linter_finds_nothing(tool: Compiler, infra: Path) -> None:
    # A parameter file brings its template and that template's modules with it.
    assert tool.lint(infra / "scenarios" / "*.bicepparam") == []
    assert tool.lint(infra / "graph" / "*.bicep") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "rule"),
    [
        pytest.param(
            "modules/vault.bicep",
            "output uri string = vault.properties.vaultUri",
            "output uri string = firstHealthKey",
            "outputs-should-not-contain-secrets",
            id="secret-in-an-output",
        ),
        pytest.param(
            "modules/app.bicep",
            "sites@2025-03-01",
            "sites@2022-03-01",
            "use-recent-api-versions",
            id="old-version",
        ),
        pytest.param(
            "modules/app.bicep",
            "httpsOnly: true",
            "unheardOf: true",
            "BCP037",
            id="unknown-property-which-is-only-a-warning",
        ),
    ],
)
def test_the_linter_would_find(
    tool: Compiler, infra: Path, file: str, old: str, new: str, rule: str
) -> None:
    path = infra / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    assert rule in {finding.rule for finding in tool.lint(path)}


def test_every_source_is_formatted(tool: Compiler, infra: Path) -> None:
    tool.format(infra)

    for path in [*infra.rglob("*.bicep"), *infra.rglob("*.bicepparam")]:
        source = INFRA / path.relative_to(infra)
        assert path.read_text(encoding="utf-8") == source.read_text(encoding="utf-8"), source


def test_the_azure_template_needs_no_graph_extension(tool: Compiler, tmp_path: Path) -> None:
    """Who has rights on Azure alone, or no way to the registry, can still deploy."""
    alone = tmp_path / "infra"
    shutil.copytree(INFRA, alone, ignore=shutil.ignore_patterns("compiled", "graph", "scenarios"))
    config = json.loads((alone / "bicepconfig.json").read_text(encoding="utf-8"))
    del config["extensions"]
    (alone / "bicepconfig.json").write_text(json.dumps(config), encoding="utf-8")

    assert tool.build(alone / "main.bicep")["resources"]
    assert not any("imports" in t or "extensions" in t for t in templates_within(template("main")))


def test_a_parameter_that_is_missing_is_named(tool: Compiler, infra: Path) -> None:
    with pytest.raises(CompileError, match="ALERT_EMAILS"):
        tool.snapshot(infra / "main.bicepparam")


GIVEN = {
    "AZURE_ENV_NAME": "test",
    "AZURE_LOCATION": "westeurope",
    "ALERT_EMAILS": "identity-team@example.com",
    "RESET_TARGETS": Deployment("default").settings["RESET_TARGETS"],
}


def deployed_with(environ: dict[str, str], infra: Path) -> Deployment:
    """What `azd provision` would make of this environment."""
    path = find_compiler(os.environ)
    if path is None:
        pytest.skip("no Bicep compiler (BICEP, PATH, ../shared/tools): only hashes are checked")
    with compiler(path, environ) as tool:
        return Deployment("azd", tool.snapshot(infra / "main.bicepparam"))


def test_four_variables_are_enough_and_give_the_default_deployment(infra: Path) -> None:
    deployed, default = deployed_with(GIVEN, infra), Deployment("default")

    assert deployed.settings == default.settings
    assert [r["type"] for r in deployed.resources] == [r["type"] for r in default.resources]


def test_the_environment_switches_the_options_on(infra: Path) -> None:
    chosen = {
        "AZURE_PRINCIPAL_ID": "5d6f6a70-3a2f-4c55-8f0b-8a0c5a1d2e3f",
        "ALERT_EMAILS": "identity-team@example.com,on-call@example.com",
        "ALERTS_ON": "false",
        "PRIVATE_NETWORK": "true",
        "ZONE_REDUNDANT": "true",
        "LOCK_STORAGE": "true",
        "ALWAYS_READY_HTTP": "1",
        "ALWAYS_READY_SWEEP": "1",
        "NAT_GATEWAY": "true",
        "AUDIT_BLOBS": "true",
        "BUDGET_STARTS_ON": "2026-11-01",
        "SIGN_IN_CLIENT_ID": "c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f",
        "SIGN_IN_CLIENTS": "461e8683-5575-4561-ac7f-899cc907d62a",
        "SIGN_IN_REQUIRED": "true",
        "WEBHOOK_SENDERS": Deployment("everything").settings["WEBHOOK_SENDERS"],
    }
    deployed, everything = deployed_with(GIVEN | chosen, infra), Deployment("everything")

    assert [r["type"] for r in deployed.resources] == [r["type"] for r in everything.resources]
    for kind in ("Microsoft.Web/sites", "Microsoft.Storage/storageAccounts"):
        assert deployed.only(kind) == everything.only(kind)
    assert json.dumps(deployed.of_type("Microsoft.Web/sites/config")).count("/api/webhooks/sn") == 1


def test_the_environment_names_what_is_there_already(infra: Path) -> None:
    scenario = (INFRA / "scenarios" / "existing.bicepparam").read_text(encoding="utf-8")
    given = dict(re.findall(r"^param (\w+) = '(.*)'$", scenario, re.MULTILINE))
    names = dict(re.findall(r"^  ([a-z]\w+): '(.*)'$", scenario, re.MULTILINE))
    tags = {name: names.pop(name) for name in ("owner", "costCenter")}
    chosen = {
        "AZURE_PRINCIPAL_TYPE": "ServicePrincipal",
        "RESOURCE_GROUP_NAME": given["resourceGroupName"],
        "RESOURCE_GROUP_EXISTS": "true",
        "RESOURCE_NAMES": json.dumps(names),
        "RESOURCE_TAGS": json.dumps(tags),
        "LOG_WORKSPACE_ID": given["workspaceId"],
        "AUDIT_WORKSPACE_ID": given["auditWorkspaceId"],
        "PRIVATE_NETWORK": "true",
        "APP_SUBNET_ID": given["appSubnetId"],
        "ENDPOINT_SUBNET_ID": given["endpointSubnetId"],
        "PRIVATE_DNS": given["privateDns"],
        "PURGE_PROTECTION": "false",
        "MONTHLY_BUDGET": "0",
    }

    deployed, existing = deployed_with(GIVEN | chosen, infra), Deployment("existing")

    def made(found: Deployment) -> list[tuple[str, str]]:
        return [
            (r["type"], r["name"])
            for r in found.resources
            if not r["type"].startswith(("Microsoft.Authorization", "Microsoft.Insights/workbooks"))
        ]

    assert made(deployed) == made(existing)
    assert deployed.only("Microsoft.Web/sites") == existing.only("Microsoft.Web/sites")


PLATFORM_SENDER = {
    "scheme": "header",
    "header": "X-MS-Client-Principal-Id",
    "format": "azure-monitor",
    "targets": ["salesforce-prod"],
}


def test_a_sender_whose_proof_is_the_platforms_header_is_on_no_open_path(infra: Path) -> None:
    """On an open path the platform may check nothing, and the header is an id that is no secret."""
    senders = {
        "az": PLATFORM_SENDER,
        "az2": PLATFORM_SENDER | {"header": "x-ms-client-principal"},
        "sn": PLATFORM_SENDER | {"header": "x-relink-secret", "format": "relink"},
        "gh": {"scheme": "github", "format": "github", "targets": ["salesforce-prod"]},
    }
    deployed = deployed_with(
        GIVEN
        | {
            "SIGN_IN_CLIENT_ID": "c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f",
            "SIGN_IN_REQUIRED": "true",
            "WEBHOOK_SENDERS": json.dumps(senders),
        },
        infra,
    )
    (auth,) = [
        r["properties"]["globalValidation"]
        for r in deployed.of_type("Microsoft.Web/sites/config")
        if r["name"].endswith("/authsettingsV2")
    ]

    assert set(auth["excludedPaths"]) == {
        "/api/health",
        "/api/openapi.json",
        "/api/webhooks/gh",
        "/api/webhooks/sn",
    }


def test_without_the_platforms_wall_nothing_goes_round_its_authentication(infra: Path) -> None:
    deployed = deployed_with(
        GIVEN | {"SIGN_IN_CLIENT_ID": "c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f"}, infra
    )
    (auth,) = [
        r["properties"]["globalValidation"]
        for r in deployed.of_type("Microsoft.Web/sites/config")
        if r["name"].endswith("/authsettingsV2")
    ]

    assert auth["unauthenticatedClientAction"] == "AllowAnonymous"
    assert auth["requireAuthentication"] is False
    assert "excludedPaths" not in auth


def test_senders_in_a_file_are_let_through_by_name(infra: Path) -> None:
    chosen = {
        "SIGN_IN_CLIENT_ID": "c0a8012e-6c1b-4f0e-9d53-1f2b3c4d5e6f",
        "SIGN_IN_REQUIRED": "true",
        "WEBHOOK_SENDERS": "@senders.json",
        "WEBHOOK_SENDER_NAMES": "sn,gh",
    }
    deployed = deployed_with(GIVEN | chosen, infra)
    auth = json.dumps(deployed.of_type("Microsoft.Web/sites/config"))

    assert deployed.settings["WEBHOOK_SENDERS"] == "@senders.json"
    assert "/api/webhooks/sn" in auth
    assert "/api/webhooks/gh" in auth


def test_the_parameters_of_azd_are_the_settings_of_the_app_with_the_documented_defaults() -> None:
    given = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    table = (INFRA.parent / "docs" / "use" / "settings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", table, re.MULTILINE))
    defaults = dict(
        re.findall(r"^  ([A-Z_]+): readEnvironmentVariable\('\1', '([^']*)'\)", given, re.MULTILINE)
    )
    shared = documented.keys() & defaults.keys()

    assert {"RESET_DAILY_BUDGET", "SWEEP_SCHEDULE", "RESET_RETENTION", "GRAPH_ENDPOINT"} <= shared
    assert {n: defaults[n] for n in shared} == {n: documented[n] for n in shared}
    assert defaults["RESETS_ENABLED"] == "false", "a first deployment restarts nothing"


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_and_output_says_what_it_is(name: str) -> None:
    for found in templates_within(template(name)):
        for part in ("parameters", "outputs"):
            for key, value in found.get(part, {}).items():
                assert value.get("metadata", {}).get("description"), f"{name}: {part} {key}"
