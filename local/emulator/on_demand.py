"""Reads a request for provision on demand, and writes its result in a documented shape."""

import json
from typing import Any, Literal

import msgspec

from local.emulator.errors import GraphError
from local.emulator.odd_jobs import Row
from local.emulator.schema import rule_id
from local.emulator.shapes import moment
from local.emulator.steps import Told
from local.emulator.values import Event, Job

type Shape = Literal["resultInKey", "listInValue"]

STATUS_INFO = "Microsoft.Identity.Health.CPP.Common.DataContracts.SyncFabric.StatusInfo"


class Subject(msgspec.Struct, rename="camel"):
    object_id: str
    object_type_name: str


class Parameter(msgspec.Struct, rename="camel"):
    rule_id: str
    subjects: list[Subject]


class Parameters(msgspec.Struct, rename="camel"):
    parameters: list[Parameter]


def subject_of(body: bytes, job: Job) -> str:
    """
    Return the object id of the one user, or raise the 400 that Graph answers.

    https://learn.microsoft.com/graph/api/synchronization-synchronizationjob-provisionondemand
    """
    try:
        asked = msgspec.json.decode(body, type=Parameters)
    except msgspec.MsgspecError as error:
        raise GraphError(400, "BadRequest", str(error)) from error
    if len(asked.parameters) != 1 or len(asked.parameters[0].subjects) != 1:
        raise GraphError(400, "BadRequest", "One rule and one subject are expected.")
    (parameter,) = asked.parameters
    (subject,) = parameter.subjects
    if parameter.rule_id != rule_id(job):
        raise GraphError(400, "BadRequest", f"Rule '{parameter.rule_id}' was not found.")
    if subject.object_type_name != "User":
        raise GraphError(400, "BadRequest", f"'{subject.object_type_name}' is not provisioned.")
    return subject.object_id


def not_provisioned(user_id: str, code: str, reason: str, shape: Shape) -> Row:
    """Tell that the service did nothing: nobody of that id, or a user out of scope."""
    result = {"result": "Skipped", "details": {"errorCode": code, "errorMessage": reason}}
    status = {"status": "Skipped", "errorCode": code, "reason": reason}
    content = {
        "action": "Other",
        "provisioningSteps": [],
        "statusInfo": status,
        "sourceIdentity": _identity(user_id, "User"),
        "targetIdentity": _identity("", ""),
    }
    return _pair(result, content, shape)


def provisioned(event: Event, told: Told, system: str, shape: Shape) -> Row:
    """Tell what was done; the steps are those of the log, with `type` and capital words."""
    code = event.detail.get("error", "RedundantExport" if told.status == "skipped" else "")
    details = {"errorCode": code, "errorMessage": ""} if code else {}
    at = moment(event.at)
    content = {
        "action": told.action.capitalize(),
        "changeId": f"{event.job_id}/{at}",
        "startTime": at,
        "endTime": at,
        "provisioningSteps": [_step(step, at) for step in told.steps],
        "reportableIdentifier": event.detail["user"],
        "statusInfo": {
            "status": told.status.capitalize(),
            "errorCode": event.detail.get("error"),
            "reason": None,
            "additionalDetails": None,
            "errorCategory": None,
            "recommendedAction": None,
        },
        "sourceIdentity": _identity(event.detail["user"], "User"),
        "targetIdentity": _identity(event.detail["target"], "User"),
        "targetSystem": {"id": None, "name": system, "details": None},
    }
    return _pair({"result": told.status.capitalize(), "details": details}, content, shape)


def _pair(result: Row, content: Row, shape: Shape) -> Row:
    """`value` is JSON within JSON: an object beside the result, or a list beside a type's name."""
    if shape == "listInValue":
        return {"key": STATUS_INFO, "value": json.dumps([content])}
    return {"key": json.dumps(result), "value": json.dumps(content)}


def _step(step: Row, at: str) -> Row:
    return {
        "name": step["name"],
        "type": step["provisioningStepType"].capitalize(),
        "status": step["status"].capitalize(),
        "description": step["description"],
        "timestamp": at,
        "details": step["details"],
    }


def _identity(id_: str, kind: str) -> dict[str, Any]:
    return {"id": id_, "type": kind, "displayName": None, "details": None}
