"""The host as a process: the genuine worker, signals, leases, and what stops a start."""

import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueClient

from tests.azurite import start_azurite
from tests.host.process import start_host, wait_for


class Work:
    """A queue of the test's own, and what the function has noted."""

    def __init__(self, connection_string: str, folder: Path) -> None:
        self.name = f"work-{uuid.uuid4().hex[:12]}"
        self.notes = folder / "notes"
        self.queue = QueueClient.from_connection_string(connection_string, self.name)
        self.poison = QueueClient.from_connection_string(connection_string, f"{self.name}-poison")
        self.environ = {
            "WorkStorage": connection_string,
            "AzureWebJobsStorage": connection_string,
            "WORK_QUEUE": self.name,
            "NOTES": str(self.notes),
            "SCHEDULE": "0 0 0 1 1 *",
            "AzureWebJobs.tick.Disabled": "true",
        }

    def told(self) -> list[dict[str, Any]]:
        return (
            [json.loads(line) for line in self.notes.read_text().splitlines()]
            if (self.notes.exists())
            else []
        )

    def begun(self, count: int = 1) -> None:
        wait_for(lambda: len(self.told()) >= count)

    def empty(self) -> bool:
        return self.queue.get_queue_properties().approximate_message_count == 0

    def buried(self) -> list[str]:
        try:
            return [found.content for found in self.poison.peek_messages(max_messages=32)]
        except Exception:
            return []


@pytest.fixture
def work(azurite: str, tmp_path: Path) -> Iterator[Work]:
    found = Work(azurite, tmp_path)
    found.queue.create_queue()
    with found.queue, found.poison:
        yield found


def test_a_message_is_run_by_the_genuine_worker_and_deleted(work: Work, tmp_path: Path) -> None:
    sent = work.queue.send_message("ok")
    with start_host("queues", tmp_path, work.environ) as host:
        work.begun()
        wait_for(work.empty)

        assert work.told() == [{"body": "ok", "id": sent.id, "dequeue_count": 1}]
        assert f"queue {work.name}" in host.output.read_text()
        assert host.stop() == 0


def test_body_properties_overwrite_the_metadata_in_any_letter_case(
    work: Work, tmp_path: Path
) -> None:
    work.queue.send_message('{"iD": "mine", "DEQUEUECOUNT": 99, "sys": "no", "list": [1]}')
    with start_host("queues", tmp_path, work.environ):
        work.begun()

    assert (work.told()[0]["id"], work.told()[0]["dequeue_count"]) == ("mine", 99)


def test_a_text_in_place_of_the_dequeue_count_fails_the_try(work: Work, tmp_path: Path) -> None:
    work.queue.send_message('{"dequeueCount": "often"}')
    with start_host("queues", tmp_path, work.environ):
        wait_for(work.buried)

    assert work.told() == []


@pytest.mark.parametrize("body", ["throw", "cancel", "exit", "sleep:30"])
def test_any_exception_that_leaves_a_function_is_a_failed_try_and_the_host_goes_on(
    work: Work, tmp_path: Path, body: str
) -> None:
    work.queue.send_message(body)
    with start_host("queues", tmp_path, work.environ) as host:
        wait_for(work.buried)
        wait_for(work.empty)

        assert work.buried() == [body]
        assert [told["dequeue_count"] for told in work.told()] == [1, 2]
        work.queue.send_message("ok")
        work.begun(3)
        assert host.stop() == 0
        reason = {
            "throw": "ValueError: told to throw",
            "cancel": "CancelledError left the function",
            "exit": "SystemExit left the function",
            "sleep:30": "functionTimeout of 1 s exceeded",
        }
        assert reason[body] in host.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_message_finish(
    work: Work, tmp_path: Path, number: signal.Signals
) -> None:
    work.queue.send_message("sleep:0.7")
    with start_host("queues", tmp_path, work.environ) as host:
        work.begun()

        assert host.stop(number) == 0
        assert work.empty()
        assert "Traceback" not in host.log.read_text()
        assert "(Succeeded" in host.log.read_text()


def test_a_second_signal_ends_the_host_at_once(work: Work, tmp_path: Path) -> None:
    work.queue.send_message("block:30")
    with start_host("queues", tmp_path, work.environ) as host:
        work.begun()
        host.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "a second signal" in host.log.read_text())

        assert host.stop() == 128 + signal.SIGTERM
        assert not work.empty()


def test_after_a_kill_the_message_stays_away_until_its_lease_ends(
    work: Work, tmp_path: Path
) -> None:
    environ = work.environ | {"LOCAL_LEASE_SECONDS": "3"}
    work.queue.send_message("sleep:0.9")
    with start_host("queues", tmp_path, environ) as host:
        work.begun()
        host.stop(signal.SIGKILL)
    assert not work.empty()
    assert work.queue.peek_messages() == []

    with start_host("queues", tmp_path, environ):
        work.begun(2)
        wait_for(work.empty)

    assert [told["dequeue_count"] for told in work.told()] == [1, 2]


def test_a_timer_runs_on_startup_and_keeps_its_status_in_a_blob(work: Work, tmp_path: Path) -> None:
    host_id = uuid.uuid4().hex
    environ = work.environ | {
        "AzureWebJobs.tick.Disabled": "false",
        "AzureFunctionsWebHost__hostid": host_id,
    }
    for number in (1, 2):
        with start_host("queues", tmp_path, environ) as host:
            work.begun(number)
            assert host.stop() == 0

    first, second = work.told()
    assert first["status"]["Last"] == "0001-01-01T00:00:00+00:00"
    assert second["status"]["Last"] > "2020"
    assert second["status"]["Next"].endswith("-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"WorkStorage": ""}, 2, "WorkStorage: missing, and work needs it; set WorkStorage"),
        ({"WORK_QUEUE": ""}, 2, "WORK_QUEUE: missing"),
        ({"PORT": "many"}, 2, "PORT: 'many' is not a number"),
        ({"LOCAL_LEASE_SECONDS": "0"}, 2, "LOCAL_LEASE_SECONDS: '0' is not a number"),
        ({"LOCAL_CREATES": "no"}, 2, "LOCAL_CREATES: 'no' is neither true nor false"),
        ({"APP_DIR": "/nowhere"}, 2, "APP_DIR: /nowhere is not a folder"),
        (
            {"AzureFunctionsJobHost__extensions__queues__batchSize": "33"},
            2,
            "extensions.queues.batchSize is '33'; give a whole number, 1 to 32",
        ),
        (
            {"SCHEDULE": "0 */5 * *", "AzureWebJobs.tick.Disabled": ""},
            1,
            "Error indexing method 'tick': The schedule expression '0 */5 * *' was not recognized",
        ),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line(
    work: Work, tmp_path: Path, changes: dict[str, str], code: int, words: str
) -> None:
    with start_host(
        "queues", tmp_path, work.environ | {"LOCAL_FUNCTION_KEY": "local"} | changes
    ) as host:
        assert host.process.wait() == code
        # What the worker itself logs, with the time in front, is not ours.
        lines = host.log.read_text().splitlines()
        (line,) = [each for each in lines if not each[:1].isdigit()]
        assert words in line, host.log.read_text()


def test_an_app_that_cannot_be_indexed_ends_with_the_words_of_the_worker(
    azurite: str, tmp_path: Path
) -> None:
    with start_host("broken", tmp_path, {"WorkStorage": azurite}) as host:
        assert host.process.wait() == 1
        assert "cannot load the work function" in host.log.read_text()


def test_storage_that_does_not_answer_is_named_with_the_remedy(work: Work, tmp_path: Path) -> None:
    nobody = "AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a;"
    with start_host("queues", tmp_path, work.environ | {"WorkStorage": nobody}) as host:
        assert host.process.wait() == 2
        assert "`make azurite` starts it" in host.log.read_text()


def test_the_app_is_asked_for_its_settings_and_its_names(work: Work, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "shared").mkdir(parents=True)
    (folder / "host.json").write_text('{"version": "2.0"}')
    (folder / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.route(auth_level=func.AuthLevel.ANONYMOUS)\n"
        "def hello(req: func.HttpRequest) -> str:\n"
        "    return 'hello'\n"
    )
    (folder / "shared" / "config.py").write_text(
        "def problem(environ):\n    return environ.get('PROBLEM')\n"
    )
    suffix = uuid.uuid4().hex[:12]
    (folder / "shared" / "names.py").write_text(
        f"TABLES = ('Table{suffix}',)\nQUEUES = ('queue-{suffix}',)\n"
    )
    environ = {"APP_DIR": str(folder), "ResetStorage": work.environ["WorkStorage"]}

    with start_host("", tmp_path, environ | {"PROBLEM": "SETTING: wrong; correct it"}) as host:
        assert host.process.wait() == 2
        assert host.log.read_text() == "SETTING: wrong; correct it\n"
        assert host.output.read_text() == ""
    with start_host("", tmp_path, environ | {"LOCAL_CREATES": "false"}) as host:
        assert host.stop() == 0
    with TableServiceClient.from_connection_string(environ["ResetStorage"]) as tables:
        assert f"Table{suffix}" not in {table.name for table in tables.list_tables()}
    # Twice: what is there already is left alone.
    for _ in range(2):
        with start_host("", tmp_path, environ) as host:
            with urlopen(f"{host.address}/api/hello", timeout=30) as answer:
                assert answer.read() == b"hello"
            assert host.stop() == 0

    with TableServiceClient.from_connection_string(environ["ResetStorage"]) as tables:
        assert f"Table{suffix}" in {table.name for table in tables.list_tables()}
    with QueueClient.from_connection_string(environ["ResetStorage"], f"queue-{suffix}") as queue:
        assert queue.get_queue_properties().approximate_message_count == 0


def test_a_signal_ends_the_host_also_when_storage_is_gone(tmp_path: Path) -> None:
    with ExitStack() as hosts:
        with start_azurite() as connection_string:
            work = Work(connection_string, tmp_path)
            hosts.enter_context(work.queue)
            hosts.enter_context(work.poison)
            host = hosts.enter_context(start_host("queues", tmp_path, work.environ))
        time.sleep(0.5)  # into the pauses between the client's retries

        asked = time.monotonic()
        assert host.stop() == 0
        assert time.monotonic() - asked < 20  # those pauses alone would be 25 seconds
