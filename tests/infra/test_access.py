"""Role assignments for exactly the operations that the code, and the host for it, perform."""

import itertools
from dataclasses import dataclass, field

import pytest

from shared.names import QUEUES, RESETS_QUEUE

from .templates import MAIN_SCENARIOS, Deployment, resources_of, template

ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
DEPLOYER = "5d6f6a70-3a2f-4c55-8f0b-8a0c5a1d2e3f"


@dataclass(frozen=True, kw_only=True)
class Role:
    """A built-in role: what it allows of what is asked here, and how much it allows in all."""

    id: str
    allows: frozenset[str] = field(default_factory=frozenset)
    breadth: int


# Operations, and the data actions behind them:
# https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage
ROLES = {
    "Storage Queue Data Reader": Role(
        id="19e7f393-937e-4f77-808e-94535e297925", allows=frozenset({"peek"}), breadth=1
    ),
    "Storage Queue Data Message Sender": Role(
        id="c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", allows=frozenset({"send"}), breadth=1
    ),
    "Storage Queue Data Message Processor": Role(
        id="8a0f0c08-91a1-4084-bc3d-661d67233fed",
        allows=frozenset({"peek", "receive", "delete"}),
        breadth=2,
    ),
    "Storage Queue Data Contributor": Role(
        id="974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        allows=frozenset({"peek", "send", "receive", "delete", "update", "exists"}),
        breadth=9,
    ),
    "Storage Table Data Reader": Role(
        id="76199698-9eea-4c19-bc75-cec21354c6b6", allows=frozenset({"query"}), breadth=1
    ),
    "Storage Table Data Contributor": Role(
        id="0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3", allows=frozenset({"query", "write"}), breadth=5
    ),
    "Storage Blob Data Owner": Role(
        id="b7e6dc6d-f1e8-4753-8033-0f276bb0955b", allows=frozenset({"host blobs"}), breadth=9
    ),
    "Key Vault Secrets User": Role(
        id="4633458b-17de-408a-b874-0445c86b69e6", allows=frozenset({"get secret"}), breadth=1
    ),
    "Key Vault Secrets Officer": Role(
        id="b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        allows=frozenset({"get secret", "set secret"}),
        breadth=5,
    ),
    "Monitoring Metrics Publisher": Role(
        id="3913510d-42f4-4e42-8a64-420c390055eb", allows=frozenset({"telemetry"}), breadth=1
    ),
}

# The app sends and peeks; the host asks whether the queue is there, receives, renews and gives back
# its lease (an update), deletes.
WORK = {"send", "peek", "exists", "receive", "update", "delete"}
# The host's copy of a message that failed too often; the sweep's receive and delete.
POISON = {"send", "receive", "delete"}
SECRETS = ("webhook-secrets", "notifiers", "notifier-secrets", "health-key")


def needed() -> dict[str, set[str]]:
    """What the app's identity does, by the end of the thing's id."""
    return {
        # Tables by the account: a transaction is posted to the account's own /$batch.
        "storageAccounts/ACCOUNT": {"host blobs", "query", "write"},
        "components/COMPONENT": {"telemetry"},
        **{f"queueServices/default/queues/{name}": WORK for name in QUEUES},
        **{f"queueServices/default/queues/{name}-poison": POISON for name in QUEUES},
        **{f"secrets/{name}": {"get secret"} for name in SECRETS},
    }


def needed_by_the_deployer() -> dict[str, set[str]]:
    return {
        f"queueServices/default/queues/{RESETS_QUEUE}": {"send"},
        "storageAccounts/ACCOUNT": {"query"},
        **{f"secrets/{name}": {"get secret", "set secret"} for name in SECRETS},
    }


def narrowest(operations: set[str]) -> set[str]:
    """The roles that together allow *operations*, and the least beside them."""
    candidates = [
        chosen
        for n in (1, 2)
        for chosen in itertools.combinations(ROLES.values(), n)
        if operations <= frozenset().union(*(role.allows for role in chosen))
    ]
    best = min(candidates, key=lambda chosen: sum(role.breadth for role in chosen))
    return {role.id for role in best}


def granted(deployed: Deployment, *, to_deployer: bool) -> dict[str, set[str]]:
    names = {
        deployed.only("Microsoft.Storage/storageAccounts")["name"]: "ACCOUNT",
        deployed.only("Microsoft.Insights/components")["name"]: "COMPONENT",
    }
    found: dict[str, set[str]] = {}
    for r in deployed.of_type(ASSIGNMENTS):
        if (r["properties"]["principalId"] == DEPLOYER) is not to_deployer:
            continue
        thing = r["id"].split(f"/providers/{ASSIGNMENTS}")[0].split("/")
        parts = 4 if "default" in thing else 2
        end = "/".join(names.get(part, part) for part in thing[-parts:])
        role = r["properties"]["roleDefinitionId"].rsplit("/", 1)[-1]
        assert role not in found.setdefault(end, set()), f"twice: {end}"
        found[end].add(role)
    return found


@pytest.fixture(params=MAIN_SCENARIOS)
def deployed(request: pytest.FixtureRequest) -> Deployment:
    return Deployment(request.param)


def test_the_app_may_do_what_it_does_and_no_more(deployed: Deployment) -> None:
    expected = {thing: narrowest(operations) for thing, operations in needed().items()}

    assert granted(deployed, to_deployer=False) == expected


def test_the_deployer_may_run_the_smoke_test_and_put_in_secrets() -> None:
    expected = {thing: narrowest(ops) for thing, ops in needed_by_the_deployer().items()}

    assert granted(Deployment("everything"), to_deployer=True) == expected
    assert granted(Deployment("default"), to_deployer=True) == {}


def test_no_assignment_is_for_more_than_one_thing(deployed: Deployment) -> None:
    for r in deployed.of_type(ASSIGNMENTS):
        below = r["id"].split(f"/providers/{ASSIGNMENTS}")[0].split("/resourceGroups/")[1]
        assert "/providers/" in below, "the scope is a resource, not the group"
        assert r["properties"]["description"]


def test_the_kind_of_principal_is_said_so_that_a_new_identity_is_no_race(
    deployed: Deployment,
) -> None:
    for r in deployed.of_type(ASSIGNMENTS):
        is_deployer = r["properties"]["principalId"] == DEPLOYER
        assert "principalType" in r["properties"]
        assert r["properties"]["principalType"] == ("User" if is_deployer else "ServicePrincipal")


def test_what_a_deployer_is_need_not_be_said() -> None:
    """A pipeline that forgot it got UnmatchedPrincipalType; the signed-in one knows what it is."""
    main = template("main")
    (passed,) = [
        resource["properties"]["parameters"]["deployerPrincipalType"]
        for resource in resources_of(main)
        if resource["type"] == "Microsoft.Resources/deployments"
        and "deployerPrincipalType" in resource["properties"]["parameters"]
    ]

    assert main["parameters"]["principalType"]["defaultValue"] == ""
    assert "deployer().userPrincipalName" in passed
    assert passed.index("'ServicePrincipal'") < passed.index("'User'")


def test_a_renewal_is_what_takes_contributor() -> None:
    """Why a work queue has a wider role than its poison queue."""
    contributor = ROLES["Storage Queue Data Contributor"].id

    assert narrowest(WORK) == {contributor}
    assert narrowest(WORK - {"update", "exists"}) != {contributor}
