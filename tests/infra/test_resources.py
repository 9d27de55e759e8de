"""What would be deployed is closed, private where it can be, and exactly what the code names."""

import json
import re

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
    # Not valid on Flex Consumption, where there is no FTP and no publishing password to harden.
    assert not {"ftpsState", "linuxFxVersion", "alwaysOn", "functionAppScaleLimit"} & config.keys()
    assert deployed.of_type("Microsoft.Web/sites/basicPublishingCredentialsPolicies") == []


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
    group = deployed.only("Microsoft.Resources/resourceGroups")

    assert group["tags"]["azd-env-name"] == "test"
    assert deployed.only("Microsoft.Web/sites")["tags"]["azd-service-name"] == "app"


def test_everything_that_takes_tags_has_them(deployed: Deployment) -> None:
    tagged = [r for r in deployed.resources if "location" in r]

    assert tagged
    assert all(r["tags"]["azd-env-name"] == "test" for r in tagged)


def test_the_vault_is_by_role_and_cannot_be_emptied(deployed: Deployment) -> None:
    properties = deployed.only("Microsoft.KeyVault/vaults")["properties"]

    assert properties["enableRbacAuthorization"] is True
    assert properties["enableSoftDelete"] is True
    assert properties["enablePurgeProtection"] is True
    assert "accessPolicies" not in properties
    assert properties["enabledForTemplateDeployment"] is False


def test_a_second_deployment_overwrites_no_secret() -> None:
    secrets = [
        resource
        for found in templates_within(template("main"))
        for resource in resources_of(found)
        if resource["type"] == "Microsoft.KeyVault/vaults/secrets" and not resource.get("existing")
    ]

    assert len(secrets) == 3
    assert all(secret["@options"] == {"onlyIfNotExists": []} for secret in secrets)


def test_logs_are_taken_by_identity_only(deployed: Deployment) -> None:
    component = deployed.only("Microsoft.Insights/components")["properties"]
    workspace = deployed.only("Microsoft.OperationalInsights/workspaces")

    assert component["DisableLocalAuth"] is True
    assert component["WorkspaceResourceId"] == workspace["id"]
    assert workspace["properties"]["features"]["disableLocalAuth"] is True
    assert workspace["properties"]["workspaceCapping"]["dailyQuotaGb"] >= 1


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
    (auth,) = [
        r["properties"]
        for r in everything.of_type("Microsoft.Web/sites/config")
        if r["name"].endswith("/authsettingsV2")
    ]
    rules = auth["globalValidation"]
    entra = auth["identityProviders"]["azureActiveDirectory"]

    assert auth["platform"]["enabled"] is True
    assert rules["requireAuthentication"] is True
    assert set(rules["excludedPaths"]) == {
        "/api/health",
        "/api/openapi.json",
        "/api/webhooks/sn",
    }
    # The value behind this name is the identity's client id: no client secret exists.
    assert entra["registration"]["clientSecretSettingName"] in everything.settings
    assert "clientSecret" not in entra["registration"]
    assert auth["login"]["tokenStore"]["enabled"] is False


def test_without_sign_in_the_platform_is_left_as_it_is() -> None:
    configs = Deployment("default").names("Microsoft.Web/sites/config")

    assert configs == {"appsettings"}


def test_zones_are_all_or_nothing(everything: Deployment) -> None:
    scale = everything.only("Microsoft.Web/sites")["properties"]["functionAppConfig"]
    ready = scale["scaleAndConcurrency"]["alwaysReady"]

    assert everything.only("Microsoft.Web/serverfarms")["properties"]["zoneRedundant"] is True
    assert everything.only(STORAGE)["sku"]["name"] == "Standard_ZRS"
    # One always-ready instance was asked for; over zones there must be two.
    assert ready == [{"name": "http", "instanceCount": 2}]
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

    assert logged == {
        "blobServices": writes,
        "queueServices": writes,
        "tableServices": writes,
        "vaults": {"AuditEvent"},
    }


def test_the_budget_warns_the_same_people(deployed: Deployment) -> None:
    budget = deployed.only("Microsoft.Consumption/budgets")["properties"]
    people = deployed.only("Microsoft.Insights/actionGroups")["id"]

    assert budget["amount"] > 0
    assert {n["thresholdType"] for n in budget["notifications"].values()} == {
        "Forecasted",
        "Actual",
    }
    assert all(n["contactGroups"] == [people] for n in budget["notifications"].values())
