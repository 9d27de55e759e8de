"""Each file of integrations/ by its system's own rules, and what it sends by the app's own."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from local.bicep import Compiler, compiler, find_compiler
from shared.adapters.notifiers.teams import envelope
from shared.domain.notifier_kinds import NotifierKind
from shared.domain.requests import ResetRequest, parse_request
from shared.domain.ticket_message import Message
from shared.web.openapi import openapi_text
from shared.webhooks.github import read_issue_event
from shared.webhooks.parsed import ParsedRequest
from tests.support.ticket_bodies import BODIES

FOLDER = Path(__file__).resolve().parents[2] / "integrations"
SAMPLES = sorted((FOLDER / "samples").iterdir())
STRANGE = 'Ann "the\\admin" O\'Neil, {"target": "aws"}'


def read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_every_file_is_in_the_table_and_has_what_is_to_be_replaced_in_capitals() -> None:
    table = read("README.md")
    files = [p for p in FOLDER.rglob("*") if p.is_file() and p.name != "README.md"]

    for path in files:
        name = path.relative_to(FOLDER).as_posix()
        listed = name if not name.startswith("samples/") else "samples/"
        assert f"]({listed})" in table or name == "lifecycle-workflows/rehire.workflow.json"
        assert "contoso.azurewebsites" not in path.read_text(encoding="utf-8")


# GitHub


def test_the_issue_form_is_one_by_githubs_schema() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.github-issue-forms",
            str(FOLDER / "github/provisioning-reset.yml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_github_makes_of_the_form_is_read_as_a_request() -> None:
    form = yaml.safe_load(read("github/provisioning-reset.yml"))
    filled = {
        "target": "salesforce-prod",
        "users": "adele.vance@contoso.com\nlee.gu@contoso.com",
        "reason": "made again",
        "dry-run": "- [x] Only say what would be done",
    }
    parts = [f"### {each['attributes']['label']}\n\n{filled[each['id']]}" for each in form["body"]]
    event = {
        "action": "opened",
        "issue": {
            "number": 7,
            "title": "Relink: Adele",
            "body": "\n\n".join(parts),
            "author_association": "MEMBER",
            "user": {"login": "ann"},
        },
        "repository": {"full_name": "octo/identity"},
        "sender": {"login": "ann"},
    }

    found = read_issue_event(event, system="github")

    assert isinstance(found, ParsedRequest)
    request = found.request
    assert (request.target, request.dry_run) == ("salesforce-prod", True)
    assert request.subjects == ("adele.vance@contoso.com", "lee.gu@contoso.com")


# Jira, Zendesk: a template is filled in with the worst that a field may hold


RULE = {
    "type": "object",
    "required": ["cloud", "rules"],
    "properties": {
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "state", "trigger", "components"],
                "properties": {
                    "state": {"enum": ["ENABLED", "DISABLED"]},
                    "trigger": {"$ref": "#/$defs/component"},
                    "components": {"type": "array", "items": {"$ref": "#/$defs/component"}},
                },
            },
        }
    },
    "$defs": {
        "component": {
            "type": "object",
            "required": ["component", "schemaVersion", "type", "value", "children", "conditions"],
            "properties": {
                "component": {"enum": ["TRIGGER", "ACTION", "CONDITION"]},
                "schemaVersion": {"type": "integer"},
                "type": {"pattern": r"^jira\."},
            },
        }
    },
}


def test_the_jira_rule_sends_a_request_whatever_its_fields_hold() -> None:
    document = json.loads(read("jira/automation-rule.json"))
    jsonschema.validate(document, RULE)
    (rule,) = document["rules"]
    (action,) = rule["components"]
    sent = action["value"]
    headers = {header["name"]: header for header in sent["headers"]}
    values = {"issue.Target.value": "salesforce-prod", "issue.key": "IT-42"}

    def fill(match: re.Match[str]) -> str:
        name = match[1].removesuffix(".asJsonString")
        value = values.get(name, STRANGE)
        # https://support.atlassian.com: asJsonString gives the text with its quotation marks.
        return json.dumps(value) if match[1].endswith(".asJsonString") else value

    request = parse_request(re.sub(r"\{\{([\w.]+)\}\}", fill, sent["customBody"]).encode())

    assert rule["state"] == "DISABLED"
    assert headers["X-Relink-Secret"]["headerSecure"] is True
    assert request.target == "salesforce-prod"
    assert request.ticket is not None
    assert request.ticket.id == "IT-42"


def test_the_zendesk_trigger_sends_a_request_and_does_not_ask_twice() -> None:
    trigger = json.loads(read("zendesk/trigger.json"))["trigger"]
    actions = {each["field"]: each["value"] for each in trigger["actions"]}
    values = {
        "current_user.email": "ann@contoso.com",
        "ticket.id": "35436",
        "ticket.url": "contoso.zendesk.com/tickets/35436",
    }
    _, body = actions["notification_webhook"]
    request = parse_request(re.sub(r"\{\{([\w.]+)\}\}", lambda m: values[m[1]], body).encode())
    excluded = [c for c in trigger["conditions"]["all"] if c["operator"] == "not_includes"]

    assert request.ticket is not None
    assert (request.target, request.ticket.id) == ("salesforce-prod", "35436")
    assert [c["value"] for c in excluded] == [actions["current_tags"]]


# ServiceNow

STUBS = """
const sent = {headers: {}};
const record = {
  getValue: name => ({number: 'INC0012345', sys_mod_count: '3', u_relink_target: 'salesforce-prod'})[name],
  getLink: () => 'incident.do?sys_id=1',
  u_affected_user: {user_name: 'adele.vance@contoso.com'},
};
globalThis.gs = {getUserName: () => STRANGE, getProperty: () => 'https://contoso.service-now.com/',
  error: text => { sent.error = text; }};
globalThis.sn_ws = {RESTMessageV2: class {
  constructor(message, fn) { sent.message = message; sent.function = fn; }
  setRequestHeader(name, value) { sent.headers[name] = value; }
  setRequestBody(body) { sent.body = body; }
  execute() { return {getStatusCode: () => 401}; }
}};
globalThis.current = record;
"""


def test_the_business_rule_sends_a_request_through_the_rest_message() -> None:
    script = (
        f"const STRANGE = {json.dumps(STRANGE)};{STUBS}{read('servicenow/business-rule.js')}"
        "console.log(JSON.stringify(sent));"
    )
    done = subprocess.run(
        [node(), "-e", script], capture_output=True, text=True, check=True, timeout=60
    )
    sent = json.loads(done.stdout)
    request = parse_request(sent["body"].encode())
    tree = ET.fromstring(read("servicenow/rest-message.xml"))

    assert request.ticket is not None
    assert (request.target, request.ticket.id) == ("salesforce-prod", "INC0012345")
    assert request.requested_by == STRANGE
    assert sent["headers"] == {"webhook-id": "INC0012345-3"}
    assert "401" in sent["error"]
    assert sent["message"] == tree.findtext("sys_rest_message/name")
    assert sent["function"] == tree.findtext("sys_rest_message_fn/function_name")


def test_the_rest_message_hangs_together() -> None:
    tree = ET.fromstring(read("servicenow/rest-message.xml"))
    ids = {element.text for element in tree.iter("sys_id")}
    headers = {
        e.findtext("name"): e.findtext("value") for e in tree.iter() if e.find("name") is not None
    }

    assert all(re.fullmatch(r"[0-9a-f]{32}", text or "") for text in ids)
    assert {e.text for e in tree.iter("rest_message")} <= ids
    assert {e.text for e in tree.iter("rest_message_function")} <= ids
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Relink-Secret"] == "SECRET"


# Azure

BICEP = sorted(FOLDER.rglob("*.bicep"))


@pytest.fixture(scope="module")
def tool() -> Iterator[Compiler]:
    path = find_compiler(os.environ)
    if path is None:
        pytest.skip("no Bicep compiler (BICEP, PATH, ../shared/tools)")
    with compiler(path) as found:
        yield found


@pytest.mark.parametrize("source", BICEP, ids=lambda path: path.stem)
def test_each_template_compiles_without_a_finding(
    tool: Compiler, source: Path, tmp_path: Path
) -> None:
    shutil.copytree(source.parent, tmp_path / "it", dirs_exist_ok=True)
    built = tool.build(tmp_path / "it" / source.name)

    assert built["resources"]
    assert tool.lint(tmp_path / "it" / source.name) == []


def resources(tool: Compiler, name: str) -> dict[str, Any]:
    found = tool.build(FOLDER / name)["resources"]
    listed = found.values() if isinstance(found, dict) else found
    return {each["type"]: each for each in listed if not each.get("existing")}


def test_the_alert_rule_is_split_by_what_names_the_job(tool: Compiler) -> None:
    rule = resources(tool, "azure-monitor/alert-rule.bicep")[
        "Microsoft.Insights/scheduledQueryRules"
    ]
    (criterion,) = rule["properties"]["criteria"]["allOf"]

    assert [d["name"] for d in criterion["dimensions"]] == ["ServicePrincipalId", "JobId"]
    assert all(f"{d['name']}" in criterion["query"] for d in criterion["dimensions"])


def test_the_subscription_brings_messages_that_never_expire_by_identity(tool: Compiler) -> None:
    found = resources(tool, "event-grid/subscription.bicep")
    properties = found["Microsoft.EventGrid/topics/eventSubscriptions"]["properties"]
    delivery = properties["deliveryWithResourceIdentity"]

    assert delivery["identity"] == {"type": "SystemAssigned"}
    assert delivery["destination"]["endpointType"] == "StorageQueue"
    assert delivery["destination"]["properties"]["queueMessageTimeToLiveInSeconds"] == -1
    assert "destination" not in properties
    assert "Microsoft.Authorization/roleAssignments" in found


def test_the_logic_app_puts_a_request_on_the_queue() -> None:
    flow = json.loads(read("lifecycle-workflows/rehire.workflow.json"))
    body = {
        "data": {
            "subject": {"id": "8cdd25a8-c9d2-423e-a03d-3f39f03c3e97"},
            "taskProcessingresult": {"id": "2a1f9f2c-7a3b-4d55-a1a2-0f6c1f1e5a11"},
        }
    }
    message = evaluated(flow["actions"]["Request"]["inputs"], body)
    put = flow["actions"]["Put_on_the_queue"]["inputs"]

    request = parse_request(json.dumps(message).encode())

    assert request.request_id == f"rehire-{body['data']['taskProcessingresult']['id']}"
    assert request.subjects == (body["data"]["subject"]["id"],)
    assert "messagettl=-1" in put["uri"]
    assert "base64(string(outputs('Request')))" in put["body"]
    assert put["authentication"]["type"] == "ManagedServiceIdentity"
    for action in flow["actions"].values():
        assert set(action["runAfter"]) <= set(flow["actions"])


def evaluated(value: Any, body: dict[str, Any]) -> Any:
    """The few expressions that the workflow uses, as Logic Apps evaluates them."""
    if isinstance(value, dict):
        return {name: evaluated(each, body) for name, each in value.items()}
    if isinstance(value, list):
        return [evaluated(each, body) for each in value]
    match = re.fullmatch(r"@\{(.*)\}", value)
    return expression(match[1], body) if match else value


def expression(text: str, body: dict[str, Any]) -> str:
    if text == "parameters('target')":
        return "salesforce-prod"
    if match := re.fullmatch(r"concat\('([^']*)', (.*)\)", text):
        return match[1] + expression(match[2], body)
    assert text.startswith("triggerBody()")
    found: Any = body
    for name in re.findall(r"\?\['(\w+)'\]", text):
        found = found[name]
    assert isinstance(found, str)
    return found


def test_the_teams_workflow_posts_the_card_that_the_notifier_sends() -> None:
    flow = json.loads(read("teams/workflow.json"))
    loop = flow["actions"]["Send_each_card"]
    post = loop["actions"]["Post_card_in_a_channel"]["inputs"]
    sent = envelope(Message(what="Done", reference="(reset r1, message 1)"))
    jsonschema.validate(sent, BODIES[NotifierKind.TEAMS])

    assert flow["triggers"]["manual"]["kind"] == "TeamsWebhook"
    assert loop["foreach"] == "@triggerOutputs()?['body']?['attachments']"
    assert post["parameters"]["body/messageBody"] == "@item()?['content']"
    assert [item["content"]["type"] for item in sent["attachments"]] == ["AdaptiveCard"]


# The API and the queue


def calls() -> list[tuple[str, str, dict[str, str], str]]:
    text = read("requests.http")
    variables = dict(re.findall(r"^@(\w+) = (.*)$", text, re.MULTILINE))
    text = re.sub(r"\{\{(\w+)\}\}", lambda m: variables[m[1]], text)
    found = []
    for part in text.split("\n###")[1:]:
        head, _, body = part.partition("\n")[2].partition("\n\n")
        first, *rest = head.strip().splitlines()
        method, _, url = first.partition(" ")
        headers = dict(line.split(": ", 1) for line in rest)
        found.append((method, url.removeprefix(variables["address"]), headers, body.strip()))
    return found


def test_every_call_of_the_request_file_is_one_of_the_api() -> None:
    paths = json.loads(openapi_text())["paths"]
    patterns = {re.compile(re.sub(r"\{\w+\}", "[^/?]+", path)): path for path in paths}

    for method, url, headers, body in calls():
        path = url.partition("?")[0]
        (known,) = [p for pattern, p in patterns.items() if pattern.fullmatch(path)]
        assert method.lower() in paths[known]
        if path == "/api/resets" and body:
            parse_request(body.encode())
        assert not body or headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.suffix[1:])
def test_a_sample_has_eight_lines_and_names_its_request(sample: Path) -> None:
    lines = [line for line in sample.read_text(encoding="utf-8").splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith(("#", "//", "import", "using", "from"))]
    text = "\n".join(code)

    assert len(code) <= 8
    assert "requestId" in text
    assert re.search(r"api/resets/", text)
    assert re.search(r"-1\b", text)


def node() -> str:
    found = shutil.which("node")
    assert found is not None, "Node.js is needed, as for Azurite"
    return found


def checked(message: str, printed: str) -> ResetRequest:
    request = parse_request(message.encode())
    assert printed.strip() == f"https://APP.azurewebsites.net/api/resets/{request.request_id}"
    return request


def test_the_python_sample_runs(tmp_path: Path) -> None:
    identity, queue = tmp_path / "azure/identity", tmp_path / "azure/storage/queue"
    for folder in (identity, queue):
        folder.mkdir(parents=True)
    (identity / "__init__.py").write_text("class DefaultAzureCredential: pass\n")
    (queue / "__init__.py").write_text(
        "import sys\n"
        "class QueueClient:\n"
        "    def __init__(self, url, name, credential): self.name = name\n"
        "    def send_message(self, text, time_to_live):\n"
        "        print(self.name, time_to_live, text, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, str(FOLDER / "samples/ask.py")],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    name, lives, message = done.stderr.split(" ", 2)

    assert (name, lives) == ("provisioning-resets", "-1")
    assert checked(message, done.stdout).target == "salesforce-prod"


def test_the_node_sample_runs(tmp_path: Path) -> None:
    for package, text in {
        "identity": "export class DefaultAzureCredential {}",
        "storage-queue": "export class QueueClient { constructor(url) { this.url = url; } "
        "async sendMessage(text, options) { "
        "console.error(this.url + ' ' + options.messageTimeToLive + ' ' + text); } }",
    }.items():
        folder = tmp_path / "node_modules/@azure" / package
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
        (folder / "index.js").write_text(text)
    shutil.copy(FOLDER / "samples/ask.mjs", tmp_path)
    done = subprocess.run(
        [node(), str(tmp_path / "ask.mjs")], capture_output=True, text=True, check=True, timeout=60
    )
    url, lives, message = done.stderr.split(" ", 2)

    assert url.endswith("/provisioning-resets")
    assert lives == "-1"
    assert checked(message, done.stdout).requested_by == "hr-sync"


def test_the_shell_sample_runs(tmp_path: Path) -> None:
    stub = tmp_path / "az"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >&2\n')
    stub.chmod(0o755)
    uuid = tmp_path / "uuidgen"
    uuid.write_text("#!/bin/sh\necho 2A1F9F2C-7A3B-4D55-A1A2-0F6C1F1E5A11\n")
    uuid.chmod(0o755)
    done = subprocess.run(
        ["sh", str(FOLDER / "samples/ask.sh")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    given = done.stderr.splitlines()
    options = dict(zip(given[3:-1:2], given[4::2], strict=False))

    assert given[:3] == ["storage", "message", "put"]
    assert options["--time-to-live"] == "-1"
    assert checked(options["--content"], done.stdout).target == "salesforce-prod"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Ask.cs", r"requestId = \$\"hr-.*target = \"salesforce-prod\", requestedBy = \"hr-sync\""),
        ("ask.ps1", r"requestId = \"hr-.*target = \"salesforce-prod\"; requestedBy = \"hr-sync\""),
    ],
)
def test_what_cannot_be_run_here_names_the_fields_as_the_schema_does(
    name: str, fields: str
) -> None:
    assert re.search(fields, read(f"samples/{name}"))


def test_base64_as_the_logic_app_sends_it_is_what_the_queue_takes() -> None:
    text = base64.b64encode(b'{"target": "salesforce-prod"}')

    assert parse_request(base64.b64decode(text)).target == "salesforce-prod"
