"""What of the settings works otherwise than its writer may think."""

import json

from shared.use_cases.advice import advice
from tests.support.world import SP, TARGET
from tests.unit.test_settings import settings

SIGNED = {"signing": ["whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]}


def said(**changes: str) -> list[str]:
    found = settings(**changes)
    assert found.problems == ()
    return list(advice(found))


def test_a_webhook_that_is_not_signed_is_told_of_without_its_address() -> None:
    (only,) = said()

    assert only.startswith("NOTIFIERS: desk is sent without a signature")
    assert "desk.example" not in only
    assert said(NOTIFIER_SECRETS=json.dumps({"desk": SIGNED})) == []


def test_a_target_and_a_sender_whose_notifier_is_not_there_are_told_of() -> None:
    found = said(
        NOTIFIERS="",
        RESET_TARGETS=json.dumps({TARGET: {"servicePrincipalId": SP, "notify": "desk"}}),
        WEBHOOK_SENDERS=json.dumps(
            {
                "sn": {"scheme": "github"},
                "it": {"scheme": "github", "notifiers": ["gone"]},
                "none": {"scheme": "github", "notifiers": []},
            }
        ),
        WEBHOOK_SECRETS=json.dumps(
            {name: [f"a-secret-of-{name}-alone"] for name in ("sn", "it", "none")}
        ),
    )

    assert [each.partition(":")[0] for each in found] == ["WEBHOOK_SENDERS"] * 2 + ["RESET_TARGETS"]
    assert "tickets of sn would be told by a notifier sn" in found[0]
    assert "by a notifier gone" in found[1]
    assert f"{TARGET}.notify names desk" in found[2]


def test_while_notifiers_cannot_be_read_there_is_a_problem_and_no_advice() -> None:
    found = settings(NOTIFIERS="{")

    assert found.problems
    assert list(advice(found)) == []
