"""What a stranger is told while a setting is bad: its name, on every route that asks for no key."""

import json
import runpy
from pathlib import Path

import pytest

from local.documents import DOCS
from shared.app import App, NotConfigured
from shared.bootstrap import build
from shared.web.messages import HttpRequest, HttpResponse
from shared.web.respond import respond
from tests.support.world import ENVIRON, World

CANARY = "S3CRET-of-a-setting"
ADDRESS = f"https://x.example/?sig={CANARY}"


def anonymous() -> list[str]:
    """The HTTP functions that ask for no key: they are the endpoints of the same name."""
    copy = runpy.run_path(str(DOCS.parent / "function_app.py"))
    found = []
    for each in copy["app"].get_functions():
        trigger = json.loads(each.get_function_json())["bindings"][0]
        if trigger["type"] == "httpTrigger" and trigger["authLevel"].upper() == "ANONYMOUS":
            found.append(each.get_function_name())
    return sorted(found)


BAD: dict[str, dict[str, str]] = {
    "NOTIFIERS": {"NOTIFIERS": json.dumps({"desk": {"kind": "webhook", ADDRESS: "x"}})},
    "NOTIFIER_SECRETS": {"NOTIFIER_SECRETS": json.dumps({CANARY.lower(): {"url": ADDRESS}})},
    "WEBHOOK_SECRETS": {"WEBHOOK_SECRETS": json.dumps({CANARY.lower(): ["x"]})},
    "WEBHOOK_SENDERS": {"WEBHOOK_SENDERS": f"@{CANARY}"},
    "RESET_TARGETS": {"RESET_TARGETS": json.dumps({CANARY: {}})},
    "GRAPH_ENDPOINT": {"GRAPH_ENDPOINT": f"https://u:{CANARY}@graph.microsoft.com"},
    "RESET_MAX_AGE": {"RESET_MAX_AGE": CANARY},
    "HEALTH_KEY": {"HEALTH_KEY": f"@Microsoft.KeyVault(SecretUri=https://{CANARY})"},
    "ResetStorage": {"ResetStorage": f"AccountKey={CANARY}"},
    "SWEEP_SCHEDULE": {"SWEEP_SCHEDULE": CANARY},
}


def built(changes: dict[str, str]) -> App | NotConfigured:
    """As the app builds itself; over storage in memory, where there is any."""
    if "ResetStorage" in changes:
        return build({**ENVIRON, **changes}, app_dir=Path("/nowhere"))
    world = World()
    world.rebuild(**changes)
    return world.app


async def asked(app: App | NotConfigured, endpoint: str, **headers: str) -> HttpResponse:
    call = HttpRequest(
        body=b"{}",
        url="https://relink.example/api/x",
        headers={"content-type": "application/json", **headers},
        path={"id": "r1", "sender": "desk", "key": "m1"},
    )
    return await respond(getattr(app.api, endpoint), call)


@pytest.mark.parametrize("signed_in_front", ["", "True"])
@pytest.mark.parametrize("setting", sorted(BAD))
@pytest.mark.parametrize("endpoint", anonymous())
async def test_a_stranger_gets_the_name_of_a_bad_setting_at_most(
    endpoint: str, setting: str, signed_in_front: str
) -> None:
    app = built({"WEBSITE_AUTH_ENABLED": signed_in_front, **BAD[setting]})
    (problem,) = [each for each in app.settings.problems if each.startswith(setting)]

    reply = await asked(app, endpoint, **{"x-functions-key": "a wrong key"})

    said = f"{reply.body}{dict(reply.headers)}"
    assert CANARY.lower() not in said.lower()
    assert problem.partition(":")[2].strip() not in said
    assert reply.status < 500 or reply.status == 503


async def test_who_holds_the_key_is_told_the_remedy() -> None:
    app = built(BAD["RESET_MAX_AGE"])

    reply = await asked(app, "submit_reset")

    assert reply.status == 503
    assert "RESET_MAX_AGE: is not an ISO 8601 duration; give one like PT5M" in reply.body


def test_every_route_without_a_key_is_known() -> None:
    """A new one is looked at, and added here."""
    assert set(anonymous()) >= {"health", "openapi", "receive_webhook", "show_reset"}
    assert not {"submit_reset", "get_reset", "list_resets", "decide_reset"} & set(anonymous())
    assert not {"list_unreadable", "retry_unreadable"} & set(anonymous())
