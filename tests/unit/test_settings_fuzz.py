"""Hypothesis on the settings: whatever they hold, functions are indexed and nothing is told."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.deployment.settings import CHOSEN
from shared.bootstrap import build
from shared.config import Settings, problem
from shared.use_cases.health import late_after
from shared.web.messages import HttpRequest
from shared.web.respond import respond
from tests.support.fuzz import bounded
from tests.support.mutants import EACH, randoms, text_mutant
from tests.support.soak import progress
from tests.support.twins import twins
from tests.support.world import ENVIRON, SP

CANARY = "S3CRET0of0a0value"


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of bad settings are no news."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


texts = st.text(max_size=40) | st.just(CANARY) | st.text(max_size=20).map(lambda x: x + CANARY)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["desk", "sales", "a", "-", "A", "targets", CANARY]) | texts


def entry(**good: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Some properties as they should be, some of any kind, some that are unknown."""
    kept = {name: st.just(value) | values for name, value in good.items()}
    return st.fixed_dictionaries({}, optional={**kept, CANARY: values, "more": values})


targets = entry(
    servicePrincipalId=SP,
    jobId="job-1",
    cooldown="P1D",
    approval="always",
    approveAbove=7,
    approvers=2,
    remediate={"after": "PT2H", "scope": "full"},
    schedule="P30D",
    notify="desk",
)
senders = entry(
    scheme="header",
    header="x-secret",
    format={"target": "/a", "when": {"/b": CANARY}},
    targets=["sales"],
    notifiers=["desk"],
)
notifiers = entry(kind="webhook", url=f"https://desk.example/{CANARY}", on=["end"])
secrets = entry(secret=f"{CANARY}-long-enough", user=CANARY, url=f"https://x.example/{CANARY}")


def setting(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """A JSON object of entries, or nearly one."""
    as_json = st.dictionaries(names, entries | values, max_size=3).map(json.dumps)
    return as_json | values.map(json.dumps) | texts


PLAIN = (
    "ResetStorage",
    "ResetStorage__queueServiceUri",
    "ResetStorage__tableServiceUri",
    "ResetStorage__clientId",
    "AZURE_CLIENT_ID",
    *(name for name in CHOSEN if name not in {"RESET_TARGETS", "WEBHOOK_SENDERS"}),
    "HEALTH_KEY",
    "WEBSITE_AUTH_ENABLED",
)
plain = texts | st.sampled_from(
    [
        "true",
        "True",
        "10",
        "\u0661\u0660",
        "P1D",
        "P999999999D",
        "-P1D",
        "PT1E400S",
        "0 * * * * *",
        "0 0 0 30 2 *",
        "*/0 * * * * *",
        f"https://{CANARY}@graph.microsoft.com",
        f"https://[{CANARY}",
        f"https://x.example:{CANARY}",
        f"@{CANARY}.json",
        "@Microsoft.KeyVault(SecretUri=https://v/s)",
        "\x00",
        "\ud800",
        "9" * 5000,
    ]
)
environs = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(PLAIN, plain),
        "RESET_TARGETS": setting(targets),
        "WEBHOOK_SENDERS": setting(senders),
        "WEBHOOK_SECRETS": setting(st.lists(texts, max_size=2)),
        "NOTIFIERS": setting(notifiers),
        "NOTIFIER_SECRETS": setting(secrets),
    },
)
# Shown in detail, and not a secret: where the app is, and what it is called.
NAMES = {"PUBLIC_URL", "GRAPH_ENDPOINT"}


def varied(changes: dict[str, str], random: Random) -> Iterator[dict[str, str]]:
    """The drawn settings, and then some with one value changed."""
    yield changes
    for _ in range(EACH - 1):
        if not changes:
            return
        name = random.choice(sorted(changes))
        yield {**changes, name: text_mutant(changes[name], random)}


@pytest.mark.soak
@bounded(400)
@given(environs, randoms)
def test_whatever_the_settings_hold_the_app_is_built_and_tells_nothing(
    changes: dict[str, str], random: Random
) -> None:
    for some in varied(changes, random):
        progress.case("settings")
        environ = {**ENVIRON, **some}
        found = Settings.from_environ(environ, app_dir=Path("/nowhere"))

        said = [*found.problems, problem(environ, app_dir=Path("/nowhere")) or ""]
        assert all(CANARY not in each for each in said), said
        assert all(
            each.partition(":")[0].split("__")[0] in {*ENVIRON, *PLAIN, *some}
            for each in found.problems
        )
        assert late_after(found.sweep_schedule)
        assert late_after(found.remediation_schedule)


@pytest.mark.soak
@bounded(200)
@given(environs, randoms)
async def test_the_app_without_storage_answers_with_the_names_of_settings_alone(
    changes: dict[str, str], random: Random
) -> None:
    call = HttpRequest(path={"sender": "desk"}, body=b"{}")
    for some in varied(changes, random):
        progress.case("settings without storage")
        environ = {**some, "ResetStorage": "", "ResetStorage__queueServiceUri": ""}
        app = build(environ, app_dir=Path("/nowhere"))

        replies = [await respond(each, call) for each in (app.api.receive_webhook, app.api.health)]

        assert {reply.status for reply in replies} == {503}
        assert all(CANARY not in reply.body for reply in replies)


ENTRIES: dict[str, dict[str, Any]] = {
    "RESET_TARGETS": {"sales": {"servicePrincipalId": SP, "approval": "always"}},
    "WEBHOOK_SENDERS": {
        "desk": {"scheme": "header", "header": "x-secret", "format": {"target": "/a"}}
    },
    "WEBHOOK_SECRETS": {"desk": ["a-secret-of-length"], "other": [{"a": "b"}]},
    "NOTIFIERS": {"desk": {"kind": "webhook", "url": "https://desk.example"}},
    "NOTIFIER_SECRETS": {"desk": {"secret": "a-secret-of-length"}},
}


@pytest.mark.soak
@bounded(400)
@given(st.sampled_from(sorted(ENTRIES)), randoms)
def test_no_setting_with_a_name_given_twice_is_taken(name: str, random: Random) -> None:
    for raw in twins(ENTRIES[name], random):
        progress.case("settings with twins")
        text = raw.decode()

        found = Settings.from_environ({**ENVIRON, name: text}, app_dir=Path("/nowhere"))

        assert [each for each in found.problems if each.startswith(f"{name}:")], text
