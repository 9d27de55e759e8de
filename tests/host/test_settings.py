"""Settings and host.json: what is read, what wins, and what stops a start."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.host.arguments import Arguments
from local.host.connections import DEVELOPMENT_STORAGE, find_connection, queue_client
from local.host.errors import StartError
from local.host.host_json import QueueOptions, load_host_json
from local.host.listener import LEASE_SECONDS, poison_name
from local.host.preflight import check_settings, declared_names
from local.host.settings import expand, load_values
from shared.names import QUEUES, TABLES
from tests.host.process import PROJECT, start_host


def app(folder: Path, queues: Mapping[str, Any] | None = None, **top: object) -> Path:
    content = {"version": "2.0", "extensions": {"queues": queues or {}}, **top}
    (folder / "host.json").write_text(json.dumps(content))
    return folder


def test_the_environment_wins_over_local_settings(tmp_path: Path) -> None:
    values = {"Values": {"A": "file", "B": "file"}}
    (tmp_path / "local.settings.json").write_text(json.dumps(values))
    environ = {"A": "environment"}

    load_values(tmp_path, environ)

    assert environ == {"A": "environment", "B": "file"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ('{"Values": {"A": "1", "\\u0041": "2"}}', "A is given twice"),
        ('{"IsEncrypted": true}', "func settings decrypt"),
        ('{"Values": {"A": 1}}', "the value of A must be a string"),
    ],
)
def test_local_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "local.settings.json").write_text(content)
    with pytest.raises(StartError, match=words):
        load_values(tmp_path, {})


def test_a_setting_stands_in_for_its_name_in_percent_signs() -> None:
    assert expand("%A%-x-%B%", {"A": "1", "B": "2"}) == "1-x-2"
    with pytest.raises(StartError, match="A: missing"):
        expand("%A%", {})


def test_the_defaults_are_those_of_the_extension(tmp_path: Path) -> None:
    options = load_host_json(app(tmp_path), {}, processors=2)

    assert options.queues == QueueOptions(new_batch_threshold=16)
    assert options.function_timeout == timedelta(minutes=30)
    assert options.route_prefix == "api"


def test_in_development_an_unset_polling_maximum_is_two_seconds(tmp_path: Path) -> None:
    environ = {"AZURE_FUNCTIONS_ENVIRONMENT": "Development"}

    unset = load_host_json(app(tmp_path), environ).queues
    given = load_host_json(app(tmp_path, {"maxPollingInterval": "00:00:30"}), environ).queues

    assert unset.max_polling_interval == timedelta(seconds=2)
    assert given.max_polling_interval == timedelta(seconds=30)


def test_a_setting_overrides_host_json_in_any_letter_case(tmp_path: Path) -> None:
    environ = {"azurefunctionsjobhost__Extensions__QUEUES__batchsize": "4"}

    assert load_host_json(app(tmp_path, {"batchSize": 8}), environ).queues.batch_size == 4


def test_no_function_timeout_is_written_as_minus_one(tmp_path: Path) -> None:
    assert load_host_json(app(tmp_path, functionTimeout="-1"), {}).function_timeout is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batchSize", 0),
        ("batchSize", 33),
        ("batchSize", True),
        ("newBatchThreshold", -1),
        ("maxDequeueCount", 0),
        ("maxPollingInterval", "00:00:00.05"),
        ("maxPollingInterval", "soon"),
        ("messageEncoding", "utf8"),
        ("visibilityTimeout", "-00:00:01"),
        ("visibilityTimeout", "8.00:00:00"),
    ],
)
def test_what_the_extension_refuses_is_named_in_one_line(
    tmp_path: Path, key: str, value: object
) -> None:
    with pytest.raises(StartError) as caught:
        load_host_json(app(tmp_path, {key: value}), {})

    text = str(caught.value)
    assert f"extensions.queues.{key} is {value!r}; give" in text
    assert "\n" not in text


def test_only_version_2_of_host_json_is_known(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="it must be"):
        load_host_json(app(tmp_path, version="1.0"), {})


def test_a_connection_is_looked_up_under_both_names() -> None:
    environ = {"AzureWebJobsWork": "AccountName=a"}

    assert find_connection("Work", environ, wanted_by="f").connection_string == "AccountName=a"
    environ["Work"] = "AccountName=b"
    assert find_connection("Work", environ, wanted_by="f").connection_string == "AccountName=b"


def test_the_shorthand_stands_for_the_emulator_on_its_usual_ports() -> None:
    environ = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}

    found = find_connection("", environ, wanted_by="f").connection_string

    assert found == DEVELOPMENT_STORAGE
    assert all(f"127.0.0.1:{port}/" in found for port in (10000, 10001, 10002))


def test_a_connection_string_wins_over_an_identity() -> None:
    environ = {
        "Work__queueServiceUri": "https://a.queue.core.windows.net",
        "Work__credential": "managedidentity",
        "Work__clientId": "me",
    }

    found = find_connection("Work", environ, wanted_by="f")
    assert (found.queue_uri, found.client_id, found.managed) == (
        "https://a.queue.core.windows.net",
        "me",
        True,
    )
    environ["Work"] = "AccountName=a"
    assert find_connection("Work", environ, wanted_by="f").queue_uri == ""


async def test_an_identity_needs_no_secret_to_make_a_client() -> None:
    environ = {"Work__accountName": "acct"}
    client = queue_client(find_connection("Work", environ, wanted_by="f"), "q")

    assert client.url == "https://acct.queue.core.windows.net/q"
    await client.close()


def test_what_is_not_a_connection_string_is_refused_without_showing_it() -> None:
    connection = find_connection("Work", {"Work": "secret-nonsense"}, wanted_by="f")
    with pytest.raises(StartError, match="Work: is not a connection string") as caught:
        queue_client(connection, "q")
    assert "secret-nonsense" not in str(caught.value)


@pytest.mark.parametrize(
    ("queue", "poison"),
    [
        ("work", "work-poison"),
        ("work-poison", None),
        ("q" * 56, "q" * 56 + "-poison"),
        ("q" * 57, None),
    ],
)
def test_a_poison_queue_is_there_where_its_name_is_valid(queue: str, poison: str | None) -> None:
    assert poison_name(queue) == poison


def test_a_lease_is_ten_minutes_unless_it_is_set() -> None:
    assert LEASE_SECONDS == 600
    assert Arguments.from_environ({}).lease_seconds == 600
    assert Arguments.from_environ({"LOCAL_LEASE_SECONDS": "5"}).lease_seconds == 5


@pytest.mark.parametrize(
    ("environ", "known"),
    [
        ({}, False),
        ({"GRAPH_ENDPOINT": "https://graph.microsoft.com"}, False),
        ({"GRAPH_ENDPOINT": "https://localhost.example"}, False),
        ({"GRAPH_ENDPOINT": "http://127.0.0.1:7072"}, True),
        ({"GRAPH_ENDPOINT": "http://localhost:7072"}, True),
        ({"GRAPH_ENDPOINT": "http://[::1]:7072"}, True),
        ({"GRAPH_ENDPOINT": "http://["}, False),
    ],
)
def test_the_key_that_everybody_knows_opens_nothing_that_reaches_a_tenant(
    environ: dict[str, str], known: bool
) -> None:
    first, second = (Arguments.from_environ(environ) for _ in range(2))

    assert (first.key == "local") is known
    assert first.key_is_new is not known
    assert known or (len(first.key) >= 32 and first.key != second.key)


def test_a_key_that_was_given_is_kept(tmp_path: Path) -> None:
    given = Arguments.from_environ({"LOCAL_FUNCTION_KEY": "mine"})
    assert (given.key, given.key_is_new) == ("mine", False)

    other_app = Arguments.from_environ({"APP_DIR": str(tmp_path)})
    assert (other_app.key, other_app.key_is_new) == ("local", False)


def test_an_app_without_a_shared_folder_has_nothing_to_check(tmp_path: Path) -> None:
    check_settings(tmp_path, {})
    assert declared_names(tmp_path).tables == ()


@pytest.mark.parametrize("ask", [lambda app: check_settings(app, {}), declared_names])
def test_a_shared_folder_without_its_config_or_names_stops_the_start(
    tmp_path: Path, ask: Callable[[Path], object]
) -> None:
    (tmp_path / "shared").mkdir()

    with pytest.raises(StartError, match=r"shared/(config|names)\.py: missing"):
        ask(tmp_path)


def test_a_module_that_does_not_declare_what_the_host_asks_for_stops_the_start(
    tmp_path: Path,
) -> None:
    app_dir = tmp_path / "app"
    (app_dir / "shared").mkdir(parents=True)
    (app_dir / "host.json").write_text('{"version": "2.0"}')
    (app_dir / "shared" / "config.py").write_text("def check(environ): ...\n")

    with start_host(app_dir, tmp_path, {}) as host:
        assert host.process.wait() == 2
    assert "shared/config.py: declares no problem" in host.log.read_text()


def test_the_names_of_this_app_are_found() -> None:
    found = declared_names(PROJECT)
    assert found.queues == QUEUES
    assert found.tables == TABLES
