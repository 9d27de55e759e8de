"""Settings: what a bad one is told, and that it stops nothing but restarts."""

import json
import re
from pathlib import Path

import pytest

from shared.config import SIGN_IN, Settings, development_storage, problem
from tests.support.world import ENVIRON, SP

HERE = Path("/nowhere")


def settings(**changes: str) -> Settings:
    return Settings.from_environ({**ENVIRON, **changes}, app_dir=HERE)


def test_good_settings_have_no_problem() -> None:
    assert problem(ENVIRON, app_dir=HERE) is None
    assert settings().problems == ()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ResetStorage": ""}, "ResetStorage: missing; give a connection string"),
        ({"ResetStorage": "foo"}, "ResetStorage: is not a connection string"),
        (
            {"ResetStorage": "AccountName=a;AccountKey=%"},
            "ResetStorage: is not a connection string",
        ),
        (
            {"ResetStorage__queueServiceUri": "https://a.queue.core.windows.net"},
            "ResetStorage: given both as a connection string",
        ),
        (
            {"ResetStorage": "", "ResetStorage__queueServiceUri": "https://a.queue"},
            "ResetStorage__tableServiceUri: missing or no https",
        ),
        ({"GRAPH_ENDPOINT": "https://graph.evil.com"}, "GRAPH_ENDPOINT: .* is not allowed"),
        ({"GRAPH_ENDPOINT": "http://graph.microsoft.com"}, "GRAPH_ENDPOINT: .* is not allowed"),
        (
            {"GRAPH_ENDPOINT": "https://graph.microsoft.com/v1.0"},
            "GRAPH_ENDPOINT: .* without version",
        ),
        (
            {"GRAPH_ENDPOINT": "https://x@graph.microsoft.com"},
            "GRAPH_ENDPOINT: that address is not allowed",
        ),
        ({"GRAPH_ENDPOINT": "http://10.0.0.1:7072"}, "GRAPH_ENDPOINT: .* is not allowed"),
        ({"RESET_TARGETS": ""}, "RESET_TARGETS: missing; list what may be reset"),
        ({"RESET_TARGETS": "{"}, "RESET_TARGETS: not valid JSON"),
        ({"RESET_TARGETS": "@absent.json"}, "RESET_TARGETS: the file that it names cannot be read"),
        (
            {"RESET_TARGETS": '{"A": {"servicePrincipalId": "x"}}'},
            "RESET_TARGETS: the name of entry 1 is not allowed",
        ),
        (
            {"RESET_TARGETS": json.dumps({"targets": {"servicePrincipalId": SP}})},
            "RESET_TARGETS: alias 'targets' is not allowed",
        ),
        (
            {"RESET_TARGETS": json.dumps({"undelivered": {"servicePrincipalId": SP}})},
            "RESET_TARGETS: alias 'undelivered' is not allowed",
        ),
        (
            {"RESET_TARGETS": json.dumps({"keys": {"servicePrincipalId": SP}})},
            "RESET_TARGETS: alias 'keys' is not allowed",
        ),
        (
            {"RESET_TARGETS": '{"a": {"servicePrincipalId": "x"}}'},
            "RESET_TARGETS: a.servicePrincipalId is no GUID",
        ),
        (
            {"RESET_TARGETS": json.dumps({"a": {"servicePrincipalId": SP, "jobid": "x"}})},
            "RESET_TARGETS: .*unknown field `jobid`",
        ),
        (
            {"RESET_TARGETS": json.dumps({"a": {"servicePrincipalId": SP, "cooldown": "-P1D"}})},
            "RESET_TARGETS: a.cooldown is negative",
        ),
        (
            {
                "RESET_TARGETS": json.dumps(
                    {"a": {"servicePrincipalId": SP}, "b": {"servicePrincipalId": SP.upper()}}
                )
            },
            "RESET_TARGETS: b and a name one service principal",
        ),
        (
            {
                "RESET_TARGETS": json.dumps(
                    {
                        "a": {"servicePrincipalId": SP, "jobId": "Salesforce.1"},
                        "b": {"servicePrincipalId": SP, "jobId": "salesforce.1"},
                    }
                )
            },
            "RESET_TARGETS: b and a name one service principal",
        ),
        (
            {"RESET_TARGETS": json.dumps({"a": {"servicePrincipalId": SP, "cooldown": "P9999D"}})},
            "RESET_TARGETS: a.cooldown is over 400 days",
        ),
        ({"RESET_DAILY_BUDGET": "ten"}, "RESET_DAILY_BUDGET: is not a number"),
        ({"RESET_DAILY_BUDGET": "9" * 5_000}, "RESET_DAILY_BUDGET: is not a number"),
        ({"RESET_MAX_OPEN": "\u0661\u0660"}, "RESET_MAX_OPEN: is not a number"),
        ({"GRAPH_ENDPOINT": "https://["}, "GRAPH_ENDPOINT: is not an address"),
        ({"GRAPH_ENDPOINT": "https://graph.microsoft.com:x"}, "GRAPH_ENDPOINT: has no valid port"),
        ({"PUBLIC_URL": "https://[::1"}, "PUBLIC_URL: is not an address"),
        ({"PUBLIC_URL": "https://x.example:99999"}, "PUBLIC_URL: has no valid port"),
        (
            {
                "ResetStorage": "",
                "ResetStorage__queueServiceUri": "https://]",
                "ResetStorage__tableServiceUri": "https://a",
            },
            "ResetStorage__queueServiceUri: is not an address",
        ),
        ({"RESET_TARGETS": "@a\x00b"}, "RESET_TARGETS: the file that it names cannot be read"),
        ({"RESET_MAX_AGE": "\ud800"}, "RESET_MAX_AGE: is not text in UTF-8"),
        ({"SWEEP_SCHEDULE": "\ud800"}, "SWEEP_SCHEDULE: is not text in UTF-8"),
        ({"RESET_MAX_AGE": "3 days"}, "RESET_MAX_AGE: is not an ISO 8601 duration"),
        ({"FOLLOW_UP_INTERVAL": "PT0S"}, "FOLLOW_UP_INTERVAL: is too short"),
        ({"SWEEP_SCHEDULE": "every minute"}, "SWEEP_SCHEDULE: is not a six-field"),
        ({"REMEDIATION_SCHEDULE": "hourly"}, "REMEDIATION_SCHEDULE: is not a six-field"),
        ({"PUBLIC_URL": "http://relink.example"}, "PUBLIC_URL: is not the https address"),
        ({"PUBLIC_URL": "https://relink.example/?code=x"}, "PUBLIC_URL: .* without query"),
        ({"SWEEP_SCHEDULE": "* * * * *"}, "SWEEP_SCHEDULE: is not a six-field"),
        ({"SWEEP_SCHEDULE": "00:01:00"}, "SWEEP_SCHEDULE: is not a six-field"),
        ({"SWEEP_SCHEDULE": "0 * * * * 7"}, "SWEEP_SCHEDULE: .*'7' is outside 0 to 6"),
        ({"SWEEP_SCHEDULE": "x y z a b c"}, "SWEEP_SCHEDULE: .*'x' is not a value"),
        ({"SWEEP_SCHEDULE": "0  * * * *"}, "SWEEP_SCHEDULE: is not a six-field"),
        ({"SWEEP_SCHEDULE": "60 * * * * *"}, "SWEEP_SCHEDULE: .*'60' is outside 0 to 59"),
        ({"REMEDIATION_SCHEDULE": "0 0 0 L * *"}, "REMEDIATION_SCHEDULE: .*'L' is not a value"),
        ({"REMEDIATION_SCHEDULE": "0 0 0 ? * *"}, "REMEDIATION_SCHEDULE: .* is not a value"),
        ({"REMEDIATION_SCHEDULE": "0 0 0 30 2 *"}, "REMEDIATION_SCHEDULE: .* within a year"),
        ({"REMEDIATION_SCHEDULE": "0 0 0 29 2 *"}, "REMEDIATION_SCHEDULE: .* within a year"),
        ({"REMEDIATION_SCHEDULE": "0 0 0 1 1 1"}, "REMEDIATION_SCHEDULE: .* within a year"),
        (
            {"HEALTH_KEY": "@Microsoft.KeyVault(SecretUri=https://v/s)"},
            "HEALTH_KEY: the Key Vault reference is not resolved",
        ),
    ],
)
def test_a_bad_setting_is_named_with_its_remedy(changes: dict[str, str], complaint: str) -> None:
    found = settings(**changes)

    assert len(found.problems) == 1
    assert re.match(complaint, found.problems[0])
    assert problem({**ENVIRON, **changes}, app_dir=HERE) == found.problems[0]


def test_a_problem_is_one_line_and_counts_the_others() -> None:
    said = problem({}, app_dir=HERE)

    assert said is not None
    assert "\n" not in said
    assert said.endswith("(and 1 more)")


def test_two_jobs_of_one_service_principal_may_be_two_targets() -> None:
    catalogue = {
        "a": {"servicePrincipalId": SP, "jobId": "one"},
        "b": {"servicePrincipalId": SP, "jobId": "two"},
    }

    assert settings(RESET_TARGETS=json.dumps(catalogue)).problems == ()


def test_the_catalogue_may_lie_in_a_file_beside_host_json(tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text(ENVIRON["RESET_TARGETS"], encoding="utf-8")

    found = Settings.from_environ({**ENVIRON, "RESET_TARGETS": "@targets.json"}, app_dir=tmp_path)

    assert found.catalogue is not None
    assert list(found.catalogue) == ["salesforce-prod"]


@pytest.mark.parametrize("value", ["", "True", "1", "yes", " true", "TRUE"])
def test_only_true_switches_resets_on(value: str) -> None:
    assert not settings(RESETS_ENABLED=value).enabled


def test_a_kill_switch_that_cannot_be_read_is_off_and_named() -> None:
    found = settings(RESETS_ENABLED="@Microsoft.KeyVault(SecretUri=https://v/s/x)")

    assert not found.enabled
    assert found.problems[0].startswith("RESETS_ENABLED: the Key Vault reference is not resolved")


def test_an_empty_catalogue_is_good_and_allows_nothing() -> None:
    assert settings(RESET_TARGETS="{}").catalogue == {}


def test_identity_based_storage_needs_no_secret() -> None:
    storage = settings(
        ResetStorage="",
        ResetStorage__queueServiceUri="https://a.queue.core.windows.net",
        ResetStorage__tableServiceUri="https://a.table.core.windows.net",
        ResetStorage__clientId="me",
    ).storage

    assert storage is not None
    assert (storage.connection_string, storage.client_id) == ("", "me")


def test_the_shorthand_for_azurite_is_expanded() -> None:
    assert "10002" in development_storage("UseDevelopmentStorage=true")
    assert development_storage("AccountName=x") == "AccountName=x"


def test_the_graph_of_a_national_cloud_is_allowed_and_is_not_local() -> None:
    found = settings(GRAPH_ENDPOINT="https://graph.microsoft.us")

    assert (found.problems, found.graph_is_local) == ((), False)
    assert settings().graph_is_local


@pytest.mark.parametrize("value", ["True", "true", "TRUE", " true "])
def test_sign_in_is_read_as_the_host_reads_it_whatever_its_case(value: str) -> None:
    assert Settings.from_environ({SIGN_IN: value}, app_dir=HERE).sign_in


@pytest.mark.parametrize("value", ["", "False", "1", "yes", "truely"])
def test_anything_else_is_no_sign_in(value: str) -> None:
    assert not Settings.from_environ({SIGN_IN: value}, app_dir=HERE).sign_in


CANARY = "S3CRET-of-a-setting"
ADDRESS = f"https://prod.westeurope.logic.azure.com/x?sig={CANARY}"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"NOTIFIERS": json.dumps({ADDRESS: {"kind": "webhook"}})}, id="as a name"),
        pytest.param({"NOTIFIERS": json.dumps({"desk": {ADDRESS: "webhook"}})}, id="as a property"),
        pytest.param({"NOTIFIERS": json.dumps({"desk": {"kind": ADDRESS}})}, id="as a kind"),
        pytest.param({"NOTIFIERS": json.dumps({"desk": ADDRESS})}, id="as an entry"),
        pytest.param({"NOTIFIERS": ADDRESS}, id="as the whole"),
        pytest.param(
            {"NOTIFIER_SECRETS": json.dumps({CANARY.lower(): {"url": ADDRESS}})}, id="swapped"
        ),
        pytest.param({"WEBHOOK_SECRETS": json.dumps({CANARY.lower(): ["x"]})}, id="of a sender"),
        pytest.param({"WEBHOOK_SECRETS": json.dumps({CANARY.lower(): "x"})}, id="and no list"),
        pytest.param({"WEBHOOK_SENDERS": json.dumps({CANARY: {}})}, id="as a sender"),
        pytest.param(
            {
                "WEBHOOK_SENDERS": json.dumps(
                    {"desk": {"scheme": "header", "header": CANARY + "\n"}}
                )
            },
            id="as a header",
        ),
        pytest.param({"WEBHOOK_SENDERS": "@" + CANARY}, id="as a file"),
        pytest.param({"GRAPH_ENDPOINT": f"https://user:{CANARY}@graph.microsoft.com"}, id="graph"),
        pytest.param({"GRAPH_ENDPOINT": f"https://graph.microsoft.com:{CANARY}"}, id="port"),
        pytest.param({"PUBLIC_URL": f"https://relink.example/?code={CANARY}"}, id="public url"),
        pytest.param({"ResetStorage": f"AccountKey={CANARY}"}, id="storage"),
        pytest.param({"RESET_MAX_AGE": CANARY}, id="duration"),
        pytest.param({"RESET_DAILY_BUDGET": CANARY}, id="number"),
        pytest.param({"SWEEP_SCHEDULE": CANARY}, id="schedule"),
        pytest.param({"RESET_TARGETS": json.dumps({CANARY: {}})}, id="as an alias"),
        pytest.param({"RESET_TARGETS": CANARY}, id="in place of the targets"),
    ],
)
def test_no_message_holds_anything_of_a_value(changes: dict[str, str]) -> None:
    problems = settings(**changes).problems

    assert problems
    assert not [p for p in problems if "s3cret" in p.lower() or "sig=" in p]


TWICE = '{"a": %s, "a": %s}'
OPEN_, SHUT = (
    json.dumps({"servicePrincipalId": SP}),
    json.dumps({"servicePrincipalId": SP, "approval": "always"}),
)


@pytest.mark.parametrize(
    "changes",
    [
        {"RESET_TARGETS": TWICE % (SHUT, OPEN_)},
        {
            "RESET_TARGETS": f'{{"a": {{"servicePrincipalId": "{SP}", "approval": "always", '
            '"approval": "never"}}'
        },
        {"WEBHOOK_SENDERS": TWICE % ('{"scheme": "jira"}', '{"scheme": "header"}')},
        {"WEBHOOK_SECRETS": TWICE % ("[]", "[]")},
        {"NOTIFIERS": TWICE % ("{}", "{}")},
        {"NOTIFIER_SECRETS": TWICE % ("{}", "{}")},
    ],
)
def test_a_name_given_twice_in_a_setting_is_refused(changes: dict[str, str]) -> None:
    (setting,) = changes
    problems = settings(**changes).problems

    assert [p for p in problems if p.startswith(f"{setting}: a name is given twice")]
