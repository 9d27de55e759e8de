"""What would be deployed is closed, private where it can be, and exactly what the code names."""

import json
import re
from typing import Any

import pytest

from shared.names import QUEUES, TABLES

from .templates import MAIN_SCENARIOS, Deployment, resources_of, template, templates_within

STORAGE = "Microsoft.Storage/storageAccounts"


@pytest.fixture(params=MAIN_SCENARIOS)
def deployed(request: pytest.FixtureRequest) -> Deployment:
    return Deployment(request.param)


@pytest.fixture
def everything() -> Deployment:
    return Deployment("everything")


AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
TENANT = "00000000-0000-0000-0000-00000000000b"


def sign_in_of(deployed: Deployment) -> dict[str, Any]:
    (found,) = [
        r["properties"]
        for r in deployed.of_type("Microsoft.Web/sites/config")
        if r["name"].endswith("/authsettingsV2")
    ]
    properties: dict[str, Any] = found
    return properties


def test_the_queues_are_those_of_the_code_and_their_poison_queues(deployed: Deployment) -> None:
    named = {name + suffix for name in QUEUES for suffix in ("", "-poison")}

    assert deployed.names(f"{STORAGE}/queueServices/queues") == named


def test_the_tables_are_those_of_the_code(deployed: Deployment) -> None:
    assert deployed.names(f"{STORAGE}/tableServices/tables") == set(TABLES)


def test_no_key_opens_the_storage_account(deployed: Deployment) -> None:
    properties = deployed.only(STORAGE)["properties"]

    assert properties["allowSharedKeyAccess"] is False
    assert properties["isLocalUserEnabled"] is False
    assert properties["defaultToOAuthAuthentication"] is True


def test_storage_is_neither_public_nor_unencrypted_on_the_way(deployed: Deployment) -> None:
    account = deployed.only(STORAGE)
    properties = account["properties"]

    assert re.fullmatch(r"[a-z0-9]{3,24}", account["name"])
    assert properties["minimumTlsVersion"] == "TLS1_2"
    assert properties["supportsHttpsTrafficOnly"] is True
    assert properties["allowBlobPublicAccess"] is False
    assert properties["allowCrossTenantReplication"] is False
    for container in deployed.of_type(f"{STORAGE}/blobServices/containers"):
        assert container["properties"]["publicAccess"] == "None"
    blobs = deployed.only(f"{STORAGE}/blobServices")["properties"]
    assert blobs["deleteRetentionPolicy"]["enabled"] is True
    assert blobs["containerDeleteRetentionPolicy"]["enabled"] is True


def test_the_app_speaks_https_and_nothing_else(deployed: Deployment) -> None:
    properties = deployed.only("Microsoft.Web/sites")["properties"]
    config = properties["siteConfig"]

    assert properties["httpsOnly"] is True
    assert config["minTlsVersion"] in {"1.2", "1.3"}
    assert config["remoteDebuggingEnabled"] is False
    assert config["http20Enabled"] is True
    assert "cors" not in config
    # Not valid on Flex Consumption.
    assert not {"ftpsState", "linuxFxVersion", "alwaysOn", "functionAppScaleLimit"} & config.keys()


def test_nobody_publishes_by_user_name_and_password(deployed: Deployment) -> None:
    policies = deployed.of_type("Microsoft.Web/sites/basicPublishingCredentialsPolicies")

    assert {r["name"].rsplit("/", 1)[-1]: r["properties"] for r in policies} == {
        "ftp": {"allow": False},
        "scm": {"allow": False},
    }


def test_the_app_is_python_on_flex_consumption_by_its_own_identity(deployed: Deployment) -> None:
    app, plan = deployed.only("Microsoft.Web/sites"), deployed.only("Microsoft.Web/serverfarms")
    identity = deployed.only("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
    flex = app["properties"]["functionAppConfig"]
    package = flex["deployment"]["storage"]

    assert plan["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    assert plan["properties"]["reserved"] is True
    assert flex["runtime"] == {"name": "python", "version": "3.13"}
    assert app["identity"]["type"] == "UserAssigned"
    assert list(app["identity"]["userAssignedIdentities"]) == [identity]
    assert package["type"] == "blobContainer"
    assert package["authentication"] == {
        "type": "UserAssignedIdentity",
        "userAssignedIdentityResourceId": identity,
    }
    assert app["properties"]["keyVaultReferenceIdentity"] == identity


def test_azd_finds_the_group_and_the_app(deployed: Deployment) -> None:
    groups = deployed.of_type("Microsoft.Resources/resourceGroups")

    # One that was there is left as it is; azd then finds it by the output.
    assert [g["tags"]["azd-env-name"] for g in groups] == (
        [] if deployed.scenario == "existing" else ["test"]
    )
    assert deployed.outputs["AZURE_RESOURCE_GROUP"] in deployed.only("Microsoft.Web/sites")["id"]
    assert deployed.only("Microsoft.Web/sites")["tags"]["azd-service-name"] == "app"


def test_everything_that_takes_tags_has_them(deployed: Deployment) -> None:
    tagged = [r for r in deployed.resources if "location" in r]

    assert tagged
    assert all(r["tags"]["azd-env-name"] == "test" for r in tagged)


def test_the_vault_is_by_role_and_cannot_be_emptied(deployed: Deployment) -> None:
    properties = deployed.only("Microsoft.KeyVault/vaults")["properties"]

    assert properties["enableRbacAuthorization"] is True
    assert properties["enableSoftDelete"] is True
    # The platform takes true or nothing; a test environment may want to be made again.
    assert properties["enablePurgeProtection"] is (
        None if deployed.scenario == "existing" else True
    )
    assert "accessPolicies" not in properties
    assert properties["enabledForTemplateDeployment"] is False


def test_a_second_deployment_overwrites_no_secret() -> None:
    secrets = [
        resource
        for found in templates_within(template("main"))
        for resource in resources_of(found)
        if resource["type"] == "Microsoft.KeyVault/vaults/secrets" and not resource.get("existing")
    ]

    assert len(secrets) == 4
    assert all(secret["@options"] == {"onlyIfNotExists": []} for secret in secrets)


def test_logs_are_taken_by_identity_only(deployed: Deployment) -> None:
    component = deployed.only("Microsoft.Insights/components")["properties"]
    workspaces = {
        w["id"].lower(): w["properties"]
        for w in deployed.of_type("Microsoft.OperationalInsights/workspaces")
    }

    assert component["DisableLocalAuth"] is True
    assert all(w["features"]["disableLocalAuth"] is True for w in workspaces.values())
    if deployed.scenario != "existing":
        capped = workspaces[component["WorkspaceResourceId"].lower()]
        assert capped["workspaceCapping"]["dailyQuotaGb"] >= 1


def test_the_audit_goes_where_strangers_cannot_fill_a_cap(deployed: Deployment) -> None:
    logs = deployed.only("Microsoft.Insights/components")["properties"]["WorkspaceResourceId"]
    audits = {
        r["properties"]["workspaceId"].lower()
        for r in deployed.of_type("Microsoft.Insights/diagnosticSettings")
    }
    (audit,) = audits
    uncapped = [
        w["id"].lower()
        for w in deployed.of_type("Microsoft.OperationalInsights/workspaces")
        if "workspaceCapping" not in w["properties"]
    ]

    assert audit != logs.lower()
    assert uncapped == ([] if deployed.scenario == "existing" else [audit])


SECRET = re.compile(
    r"listKeys|listAccountSas|listServiceSas|AccountKey=|SharedAccessKey|getSecret|sig=|"
    r"InstrumentationKey",
    re.IGNORECASE,
)


def test_no_secret_is_read_into_the_template(deployed: Deployment) -> None:
    assert SECRET.findall(deployed.text) == []
    for name in ("main", "graph/main", "graph/sign-in"):
        assert SECRET.findall(json.dumps(template(name))) == [], name


def test_the_sieve_for_secrets_has_no_hole() -> None:
    leaks = [
        "[listKeys(resourceId('x'), '2025').keys[0].value]",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b",
        "https://a.blob.example/c?sv=2025&sig=abc",
    ]

    assert all(SECRET.search(leak) for leak in leaks)


def test_no_output_is_a_secret_or_a_connection_string(deployed: Deployment) -> None:
    told = json.dumps(deployed.outputs)

    assert not re.search(r"ConnectionString|healthkey|secrets/", told, re.IGNORECASE)
    for found in templates_within(template("main")):
        secure = {n for n, p in found["parameters"].items() if p.get("type") == "securestring"}
        for name, output in found.get("outputs", {}).items():
            assert output["type"] in {"string", "bool"}, name
            assert not [s for s in secure if f"parameters('{s}')" in str(output["value"])], name


def test_a_first_health_key_is_secure_wherever_it_goes() -> None:
    holders = [
        found["parameters"]["firstHealthKey"]
        for found in templates_within(template("main"))
        if "firstHealthKey" in found["parameters"]
    ]

    assert len(holders) == 2
    assert all(holder["type"] == "securestring" for holder in holders)


def test_storage_and_vault_leave_the_internet_with_the_private_network(
    everything: Deployment,
) -> None:
    for kind in (STORAGE, "Microsoft.KeyVault/vaults"):
        properties = everything.only(kind)["properties"]
        assert properties["publicNetworkAccess"] == "Disabled"
        assert properties["networkAcls"] == {"bypass": "None", "defaultAction": "Deny"}
    endpoints = everything.of_type("Microsoft.Network/privateEndpoints")
    reached = {
        (c["properties"]["privateLinkServiceId"], *c["properties"]["groupIds"])
        for e in endpoints
        for c in e["properties"]["privateLinkServiceConnections"]
    }
    account = everything.only(STORAGE)["id"]
    vault = everything.only("Microsoft.KeyVault/vaults")["id"]

    assert reached == {
        (account, "blob"),
        (account, "queue"),
        (account, "table"),
        (vault, "vault"),
    }
    assert len(everything.of_type("Microsoft.Network/privateDnsZones/virtualNetworkLinks")) == 4
    assert len(everything.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")) == 4


def test_the_app_joins_the_network_by_a_subnet_of_its_own(everything: Deployment) -> None:
    network = everything.only("Microsoft.Network/virtualNetworks")
    subnets = {s["name"]: s["properties"] for s in network["properties"]["subnets"]}
    app = everything.only("Microsoft.Web/sites")["properties"]

    assert app["virtualNetworkSubnetId"] == f"{network['id']}/subnets/app"
    assert [d["properties"]["serviceName"] for d in subnets["app"]["delegations"]] == [
        "Microsoft.App/environments"
    ]
    assert all(s["networkSecurityGroup"]["id"] for s in subnets.values())


def test_without_a_private_network_there_is_none() -> None:
    default = Deployment("default")

    assert [r for r in default.resources if r["type"].startswith("Microsoft.Network/")] == []
    assert default.only("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"] is None
    assert default.outputs["RELINK_STORAGE_IS_PUBLIC"] is True


def test_sign_in_covers_everything_but_what_strangers_must_reach(everything: Deployment) -> None:
    auth = sign_in_of(everything)
    rules = auth["globalValidation"]
    entra = auth["identityProviders"]["azureActiveDirectory"]

    assert auth["platform"]["enabled"] is True
    assert rules["requireAuthentication"] is True
    # A program that follows a redirect would take the login page for an answer.
    assert rules["unauthenticatedClientAction"] == "Return401"
    assert set(rules["excludedPaths"]) == {
        "/api/health",
        "/api/openapi.json",
        "/api/webhooks/sn",
    }
    # The value behind this name is the identity's client id: no client secret exists.
    assert entra["registration"]["clientSecretSettingName"] in everything.settings
    assert "clientSecret" not in entra["registration"]
    assert auth["login"]["tokenStore"]["enabled"] is False


def test_sign_in_takes_tokens_of_this_tenant_for_us_from_clients_that_are_listed(
    everything: Deployment,
) -> None:
    entra = sign_in_of(everything)["identityProviders"]["azureActiveDirectory"]
    client = entra["registration"]["clientId"]
    azure_monitor = "461e8683-5575-4561-ac7f-899cc907d62a"

    assert entra["validation"]["allowedAudiences"] == [client]
    assert entra["validation"]["defaultAuthorizationPolicy"]["allowedApplications"] == [
        client,
        AZURE_CLI,
        azure_monitor,
    ]
    assert everything.settings["WEBSITE_AUTH_AAD_ALLOWED_TENANTS"] == TENANT
    assert TENANT in entra["registration"]["openIdIssuer"]
    assert "/v2.0" in entra["registration"]["openIdIssuer"]


def test_without_sign_in_the_platform_is_left_as_it_is() -> None:
    configs = Deployment("default").names("Microsoft.Web/sites/config")

    assert configs == {"appsettings"}


def test_zones_are_all_or_nothing(everything: Deployment) -> None:
    scale = everything.only("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    ready = scale["scaleAndConcurrency"]["alwaysReady"]

    assert everything.only("Microsoft.Web/serverfarms")["properties"]["zoneRedundant"] is True
    assert everything.only(STORAGE)["sku"]["name"] == "Standard_ZRS"
    # One always-ready instance of each was asked for; over zones there must be two.
    assert ready == [
        {"name": "http", "instanceCount": 2},
        {"name": "function:sweep", "instanceCount": 2},
    ]
    scale = Deployment("default").only("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    assert scale["scaleAndConcurrency"]["alwaysReady"] == []
    assert scale["scaleAndConcurrency"]["instanceMemoryMB"] == 2048
    assert Deployment("default").only("Microsoft.Web/serverfarms")["properties"] == {
        "reserved": True,
        "zoneRedundant": False,
    }


def test_a_lock_keeps_the_audit_where_that_is_wanted(everything: Deployment) -> None:
    lock = everything.only("Microsoft.Authorization/locks")

    assert lock["id"].startswith(everything.only(STORAGE)["id"])
    assert lock["properties"]["level"] == "CanNotDelete"
    assert Deployment("default").of_type("Microsoft.Authorization/locks") == []


def test_who_writes_and_who_reads_secrets_is_logged(deployed: Deployment) -> None:
    logged = {
        r["id"].split("/providers/Microsoft.Insights/")[0].rsplit("/", 2)[-2]: {
            log["category"] for log in r["properties"]["logs"] if log["enabled"]
        }
        for r in deployed.of_type("Microsoft.Insights/diagnosticSettings")
    }
    writes = {"StorageWrite", "StorageDelete"}
    # Nearly all writes to blobs are the host renewing its locks: only where that is asked for.
    blobs = {"blobServices": writes} if deployed.scenario == "everything" else {}

    assert logged == {
        **blobs,
        "queueServices": writes,
        "tableServices": writes,
        "vaults": {"AuditEvent"},
    }


def test_the_budget_warns_the_same_people() -> None:
    for scenario in ("default", "everything"):
        deployed = Deployment(scenario)
        budget = deployed.only(BUDGETS)["properties"]
        people = deployed.only("Microsoft.Insights/actionGroups")["id"]

        assert budget["amount"] > 0
        assert {n["thresholdType"] for n in budget["notifications"].values()} == {
            "Forecasted",
            "Actual",
        }
        assert all(n["contactGroups"] == [people] for n in budget["notifications"].values())


BUDGETS = "Microsoft.Consumption/budgets"


def provisioned(*scenarios: str) -> dict[str, dict[str, Any]]:
    """What Azure holds after these deployments, one after the other, by type and name."""
    options = {
        resource["properties"]["timePeriod"]["startDate"]: resource.get("@options", {})
        for found in templates_within(template("main"))
        for resource in resources_of(found)
        if resource["type"] == BUDGETS
    }
    assert options == {
        "[parameters('thisMonth')]": {"onlyIfNotExists": []},
        "[parameters('startsOn')]": {},
    }
    held: dict[str, dict[str, Any]] = {}
    for scenario in scenarios:
        deployed = Deployment(scenario)
        for r in deployed.resources:
            # The scenario with every option gives the start; the others make it only once.
            is_once = r["type"] == BUDGETS and scenario != "everything"
            if r["id"] not in held or not is_once:
                held[r["id"]] = r
    return held


def test_provisioning_two_months_later_changes_no_budget_and_nothing_else() -> None:
    """Azure refuses a budget whose start moves, and with it the whole deployment."""
    assert provisioned("default", "later") == provisioned("default")
    moved = [
        (
            now["type"],
            [k for k in now["properties"] if now["properties"][k] != then["properties"][k]],
        )
        for now, then in zip(
            Deployment("default").resources, Deployment("later").resources, strict=True
        )
        if now != then
    ]
    assert moved == [(BUDGETS, ["timePeriod"])]


def test_a_budget_of_nothing_leaves_it_out() -> None:
    """A new subscription, or an offer without Cost Management, can have none."""
    assert Deployment("existing").of_type(BUDGETS) == []


def test_what_is_there_already_is_used_and_not_made() -> None:
    existing = Deployment("existing")
    app = existing.only("Microsoft.Web/sites")
    network = "/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke/subnets/"

    for kind in (
        "Microsoft.Resources/resourceGroups",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.Network/virtualNetworks",
        "Microsoft.Network/networkSecurityGroups",
        "Microsoft.Network/privateDnsZones",
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    ):
        assert existing.of_type(kind) == [], kind
    assert "/resourceGroups/rg-identity-prod/" in app["id"]
    assert app["properties"]["virtualNetworkSubnetId"].endswith(f"{network}relink")
    for endpoint in existing.of_type("Microsoft.Network/privateEndpoints"):
        assert endpoint["properties"]["subnet"]["id"].endswith(f"{network}endpoints")
    zones = [
        config["properties"]["privateDnsZoneId"]
        for group in existing.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
        for config in group["properties"]["privateDnsZoneConfigs"]
    ]
    assert len(zones) == 4
    assert all("/resourceGroups/rg-hub-dns'" in zone and "privatelink" in zone for zone in zones)


def test_names_and_tags_of_ones_own_are_used() -> None:
    existing = Deployment("existing")

    assert existing.only("Microsoft.Web/sites")["name"] == "func-contoso-relink"
    assert existing.only(STORAGE)["name"] == "stcontosorelink"
    assert existing.only("Microsoft.KeyVault/vaults")["name"] == "kv-contoso-relink"
    for r in existing.resources:
        if r.get("location"):
            assert r["tags"]["owner"] == "identity-team", r["id"]
            assert r["tags"]["costCenter"] == "4711"
            assert r["tags"]["azd-env-name"] == "test", "azd's own tag cannot be overwritten"


def test_the_way_out_has_an_address_of_its_own_where_that_is_wanted(everything: Deployment) -> None:
    network = everything.only("Microsoft.Network/virtualNetworks")
    subnets = {s["name"]: s["properties"] for s in network["properties"]["subnets"]}
    gateway = everything.only("Microsoft.Network/natGateways")

    assert subnets["app"]["natGateway"] == {"id": gateway["id"]}
    assert everything.only("Microsoft.Network/publicIPAddresses")["sku"] == {"name": "Standard"}


def test_the_rule_that_the_platform_makes_by_itself_is_taken_over(deployed: Deployment) -> None:
    """Under another name there would be two, and one would tell nobody."""
    rule = deployed.only("Microsoft.AlertsManagement/smartDetectorAlertRules")
    component = deployed.only("Microsoft.Insights/components")["name"]

    assert rule["name"] == f"Failure Anomalies - {component}"
