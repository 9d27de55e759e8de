"""Every setting that the app reads is set, and every one that is set is read."""

import json
from collections.abc import Iterator, Mapping

import pytest

from local.bicep import ROOT
from shared.config import Settings
from shared.domain.messages import LONGEST_EVENT
from shared.domain.requests import LONGEST_REQUEST
from shared.use_cases.receive_webhook import LONGEST_WEBHOOK

from .templates import MAIN_SCENARIOS, Deployment

# Read by nobody but the Functions host and the platform around it.
HOST_READS = {
    "AzureWebJobsStorage__blobServiceUri": "where the host keeps its keys and locks",
    "AzureWebJobsStorage__credential": "that it gets there by identity",
    "AzureWebJobsStorage__clientId": "by which identity",
    "ResetStorage__credential": "the queue triggers' half of the connection",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "where logs go",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "by which identity",
    "AzureFunctionsJobHost__telemetryMode": "that the host exports by OpenTelemetry",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "that the worker does",
    "PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME": "and of the worker our own lines alone",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "how much of a body it reads at all",
    "WEBSITE_AUTH_AAD_ALLOWED_TENANTS": "whose tokens sign-in takes",
    "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID": "sign-in without a client secret",
}
# Read by the app, and not for a deployment to set.
NOT_OURS = {
    "IDENTITY_ENDPOINT": "the platform sets it where there is an identity",
    "WEBSITE_AUTH_ENABLED": "the platform sets it where sign-in is on",
    "LOCAL_FUNCTION_KEY": "the development host's",
    "LOCAL_PRINCIPAL": "the development host's",
    "ResetStorage": "a connection string: for Azurite, and refused beside an identity",
}
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
NOT_ON_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "TZ",
    "WEBSITE_VNET_ROUTE_ALL",
}


class Recorder(Mapping[str, str]):
    """Settings that remember who asked for what."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("settings are asked for by name")

    def __len__(self) -> int:
        return len(self._values)


def resolved(settings: Mapping[str, str]) -> dict[str, str]:
    """What the app would see: references and addresses that only Azure knows stand filled in."""
    senders = json.loads(settings.get("WEBHOOK_SENDERS", "{}"))
    known = {
        # Without senders: what the template puts into the vault at first.
        "WEBHOOK_SECRETS": json.dumps({name: ["0123456789abcdef" * 2] for name in senders}),
        "NOTIFIERS": "{}",
        "NOTIFIER_SECRETS": "{}",
        "HEALTH_KEY": "0f9d7c1e-3c52-4d55-9a51-8f2b1c0d9e7a",
        "PUBLIC_URL": "https://func-relink.azurewebsites.net",
        "ResetStorage__queueServiceUri": "https://st.queue.core.windows.net/",
        "ResetStorage__tableServiceUri": "https://st.table.core.windows.net/",
    }
    filled = {name: known.get(name, value) for name, value in settings.items()}
    return {
        n: "11111111-2222-4333-8444-555555555555" if v.startswith("[") else v
        for n, v in filled.items()
    }


def read(settings: Mapping[str, str]) -> tuple[set[str], Settings]:
    recorder = Recorder(settings)
    found = Settings.from_environ(recorder, app_dir=ROOT)
    return recorder.asked, found


@pytest.fixture(params=MAIN_SCENARIOS)
def deployed(request: pytest.FixtureRequest) -> Deployment:
    return Deployment(request.param)


def test_every_setting_that_the_app_reads_is_set(deployed: Deployment) -> None:
    asked_bare, _ = read({})
    asked, _ = read(resolved(deployed.settings))

    assert (asked_bare | asked) - NOT_OURS.keys() <= deployed.settings.keys()


def test_every_setting_that_is_set_is_read(deployed: Deployment) -> None:
    asked, _ = read(resolved(deployed.settings))

    assert deployed.settings.keys() - HOST_READS.keys() <= asked


def test_opentelemetry_is_asked_for_or_not_there() -> None:
    asked = {name for name in HOST_READS if "telemetry" in name.lower() or "LOGGER" in name}

    assert len(asked) == 3
    assert not asked & Deployment("default").settings.keys()
    assert Deployment("everything").settings["AzureFunctionsJobHost__telemetryMode"] == (
        "OpenTelemetry"
    )


def test_no_exception_is_kept_for_a_setting_that_is_gone() -> None:
    asked = read({})[0] | read(resolved(Deployment("everything").settings))[0]
    elsewhere = {"WEBSITE_AUTH_ENABLED", "LOCAL_PRINCIPAL"}

    assert NOT_OURS.keys() - elsewhere <= asked
    assert HOST_READS.keys() <= Deployment("everything").settings.keys()
    assert not HOST_READS.keys() & asked
    for name in elsewhere:
        assert name in (ROOT / "docs" / "use" / "settings.md").read_text(encoding="utf-8")


def test_a_deployment_has_no_bad_setting(deployed: Deployment) -> None:
    _, found = read(resolved(deployed.settings))

    assert found.problems == ()
    assert found.storage is not None
    assert not found.storage.connection_string
    assert found.enabled is (deployed.scenario == "everything")


def test_no_setting_that_flex_forbids_is_set(deployed: Deployment) -> None:
    assert not NOT_ON_FLEX & deployed.settings.keys()
    reserved = {n for n in deployed.settings if n.startswith(("WEBSITE_", "FUNCTIONS_"))}
    assert reserved <= HOST_READS.keys()


def test_a_body_is_cut_off_where_the_app_would_refuse_it(deployed: Deployment) -> None:
    """The host reads a body whole before the app sees it: by default up to 100 MB."""
    limit = int(deployed.settings["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"])
    longest = max(LONGEST_WEBHOOK, LONGEST_REQUEST, LONGEST_EVENT)

    assert longest < limit <= 2 * longest


@pytest.mark.parametrize("name", ["WEBHOOK_SECRETS", "NOTIFIERS", "NOTIFIER_SECRETS", "HEALTH_KEY"])
def test_what_is_secret_is_a_reference_into_the_vault(deployed: Deployment, name: str) -> None:
    assert "@Microsoft.KeyVault(SecretUri=" in deployed.settings[name]
    assert "vaultUri" in deployed.settings[name]


def test_every_connection_names_the_identity(deployed: Deployment) -> None:
    for connection in ("AzureWebJobsStorage", "ResetStorage"):
        assert deployed.settings[f"{connection}__credential"] == "managedidentity"
        assert deployed.settings[f"{connection}__clientId"].endswith("clientId]")
    assert "Authorization=AAD" in deployed.settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]


def test_the_host_keeps_neither_tables_nor_queues_of_its_own(deployed: Deployment) -> None:
    """With an address for tables it would make some, which its identity may not."""
    own = {n for n in deployed.settings if n.startswith("AzureWebJobsStorage__")}

    assert own <= HOST_READS.keys()
