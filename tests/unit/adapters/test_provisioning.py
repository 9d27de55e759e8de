"""Rows of the provisioning logs and results of provision on demand, as Graph really sends them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.adapters.graph.provisioning import (
    read_connection,
    read_entry,
    read_matching,
    read_on_demand,
    read_user_rule,
)
from shared.domain.links import LinkSource, ProvisioningEntry

DATA = Path(__file__).parents[2] / "data" / "graph"


def rows(name: str) -> list[ProvisioningEntry]:
    body = json.loads((DATA / name).read_text(encoding="utf-8"))
    found = [read_entry(each) for each in body.get("value", [body])]
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    ("name", "is_user", "source", "target", "action", "status", "error"),
    [
        pytest.param(
            "12-provisioning-row-live-scim-group-redundant.json",
            False,
            "5e6c9fae-ab4d-4239-8ad0-174391d110eb",
            "ffabc1d2efghij",
            "other",
            "skipped",
            "",
            id="a group is not a user",
        ),
        pytest.param(
            "13-provisioning-page-beta-failure-statusinfo.json",
            False,
            "5e6c9fae-ab4d-4239-8ad0-174391d110eb",
            "",
            "Create",
            "failure",
            "BoxEntryConflict",
            id="action and statusInfo of beta",
        ),
        pytest.param(
            "15-provisioning-page-aws-roles-import.json",
            False,
            "60a7a801-7101-4c69-ae00-ce9f75f8460a",
            "6aa35b93-185a-4485-a519-50c09549f3ad",
            "create",
            "success",
            "",
            id="roles of an application are not a user",
        ),
    ],
)
def test_a_row_as_graph_sends_it(
    name: str, is_user: bool, source: str, target: str, action: str, status: str, error: str
) -> None:
    (row,) = rows(name)

    assert row.is_user is is_user
    assert (row.source_id, row.target_id) == (source, target)
    assert (row.action, row.status, row.error_code) == (action, status, error)


def test_the_row_of_a_linked_object_names_the_stored_target_in_its_matching_step() -> None:
    (row,) = rows("12-provisioning-row-live-scim-group-redundant.json")

    assert row.stored_target == "ffabc1d2efghij"
    assert row.matched_target == ""
    assert row.at == datetime(2026, 7, 17, 12, 31, 10, tzinfo=UTC)


def test_provision_on_demand_with_its_result_in_the_key_and_an_object_as_value() -> None:
    (row,) = read_on_demand((DATA / "16-ondemand-skipped-result-in-key.json").read_bytes())

    assert row.is_user
    assert row.source_id == "62cf7b7a-52be-4a9b-9c69-e5d4a4a14f67"
    assert row.target_id == "52507a19-96ec-4e73-9250-3e65ffd2d926"
    assert (row.status, row.error_code) == ("Skipped", "RedundantExport")
    assert row.origin is LinkSource.PROVISION_ON_DEMAND
    assert row.at == datetime(2020, 6, 26, 13, 58, 24, 768208, tzinfo=UTC)


def test_provision_on_demand_with_a_type_as_key_and_a_list_as_value() -> None:
    (row,) = read_on_demand((DATA / "18-ondemand-statusinfo-key-array-value.json").read_bytes())

    assert [step.name for step in row.steps] == ["EntryImport"]
    assert (row.source_id, row.target_id) == ("", "")


@pytest.mark.parametrize("value", ["", "[]", "null", "3", '"text"', "[null, 3]"])
def test_a_result_without_objects_is_no_entry(value: str) -> None:
    assert read_on_demand(json.dumps({"key": "x", "value": value}).encode()) == ()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"key": "x", "value": "{"}'])
def test_what_is_not_json_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_on_demand(body)


@pytest.mark.parametrize(
    "identity",
    [
        {"id": "CN=Adele Vance,OU=People,DC=contoso,DC=com"},
        {"id": ["CN=Adele Vance,OU=People,DC=contoso,DC=com", "other"]},
    ],
)
def test_a_target_anchor_may_be_a_distinguished_name(identity: dict[str, Any]) -> None:
    row = read_entry({"targetIdentity": identity})

    assert row is not None
    assert row.target_id == "CN=Adele Vance,OU=People,DC=contoso,DC=com"


def test_a_target_anchor_may_be_a_number() -> None:
    row = read_entry({"targetIdentity": {"id": 701984}})

    assert row is not None
    assert row.target_id == "701984"


@pytest.mark.parametrize("raw", [None, 3, "row", [], True])
def test_what_is_not_an_object_is_not_a_row(raw: object) -> None:
    assert read_entry(raw) is None


@pytest.mark.parametrize(
    "member",
    [
        "sourceIdentity",
        "targetIdentity",
        "provisioningStatusInfo",
        "provisioningSteps",
        "activityDateTime",
        "jobId",
    ],
)
@pytest.mark.parametrize(
    "value", [None, 3, True, "text", [], [3], {"id": None}, "0001-01-01T00:00:00Z"]
)
def test_any_member_of_another_type_is_left_empty(member: str, value: object) -> None:
    (good,) = json.loads(
        (DATA / "13-provisioning-page-beta-failure-statusinfo.json").read_text(encoding="utf-8")
    )["value"]

    row = read_entry({**good, member: value})

    assert row is not None
    assert row.action == "Create"


@pytest.mark.parametrize(
    ("identity_type", "is_user"),
    [
        ("User", True),
        ("user", True),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", True),
        ("Group", False),
        ("ServicePrincipal", False),
        ("RolesCompound", False),
        ("", False),
    ],
)
def test_only_users_are_users(identity_type: str, is_user: bool) -> None:
    row = read_entry({"sourceIdentity": {"id": "1", "identityType": identity_type}})

    assert row is not None
    assert row.is_user is is_user


def schema(*attributes: dict[str, Any], **mapping: object) -> bytes:
    users = {
        "enabled": True,
        "sourceObjectName": "User",
        "targetObjectName": "User",
        "attributeMappings": list(attributes),
        **mapping,
    }
    groups = {"sourceObjectName": "Group", "attributeMappings": [attribute(1, "displayName", "g")]}
    rule = {"id": "rule-1", "objectMappings": [groups, users]}
    return json.dumps({"synchronizationRules": [rule]}).encode()


def attribute(priority: object, source: str, target: str, **more: object) -> dict[str, Any]:
    return {
        "matchingPriority": priority,
        "targetAttributeName": target,
        "source": {"type": "Attribute", "name": source, "expression": f"[{source}]", **more},
    }


def test_the_matching_attributes_come_in_the_order_in_which_they_are_tried() -> None:
    body = schema(
        attribute(2, "mail", "Email"),
        attribute(0, "displayName", "Name"),
        attribute(1, "userPrincipalName", "Username"),
        attribute(None, "city", "City"),
        attribute("3", "employeeId", "Number"),
        attribute(float("1.5"), "city", "City"),
    )

    assert [(m.priority, m.source, m.target) for m in read_matching(body)] == [
        (1, "userPrincipalName", "Username"),
        (2, "mail", "Email"),
        (3, "employeeId", "Number"),
    ]
    assert read_user_rule(body) == "rule-1"


def test_an_expression_is_shown_as_it_stands() -> None:
    expression = 'Replace([mail], "@", , , "_", , )'
    body = schema(attribute(1, "Replace", "Username", type="Function", expression=expression))

    (found,) = read_matching(body)

    assert (found.source, found.is_expression) == (expression, True)


def test_a_mapping_that_is_switched_off_matches_nobody() -> None:
    assert read_matching(schema(attribute(1, "mail", "Email"), enabled=False)) == ()


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"synchronizationRules": null}'])
def test_a_schema_without_rules_names_no_attribute(body: bytes) -> None:
    assert read_matching(body) == ()
    assert read_user_rule(body) == ""


def test_an_object_connection_is_a_link() -> None:
    body = {
        "objectId": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
        "sourceAnchor": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
        "targetAnchor": "701984",
        "displayName": "Adele Vance",
        "objectTypeName": "user",
    }

    link = read_connection(json.dumps(body).encode())

    assert link is not None
    assert (link.source_id, link.target_id) == (body["objectId"], "701984")
    assert read_connection(b'{"targetAnchor": ""}') is None
