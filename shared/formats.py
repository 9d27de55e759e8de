"""
What a webhook's body asks for: the formats of relink, Azure Monitor, GitHub, and declared maps.

Pure. The body has been shown to come from its sender before anything here looks at it; a target
is only ever an alias of the catalogue, and whether this sender may reach it is asked elsewhere.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shared.catalogue import Catalogue
from shared.errors import InvalidRequest
from shared.pointers import look_up
from shared.requests import (
    LONGEST_REASON,
    LONGEST_TICKET_ID,
    ResetRequest,
    parse_request,
    read_body,
)
from shared.senders import FieldMap, FormatName, Sender, Words


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request; `delivery` is what the body itself says that makes this delivery one."""

    request: ResetRequest
    delivery: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AsksNothing:
    """An event of the sender's that is no request: a comment, a close, a test."""

    reason: str


def read_event(sender: Sender, raw: bytes, catalogue: Catalogue | None) -> Asked | AsksNothing:
    """Raise InvalidRequest where the body asks for something, and not as its format wants."""
    layout = sender.entry.format
    _refuse_twins(raw)
    if layout is FormatName.RELINK:
        request, origin = read_body(raw)
        return Asked(request=request, delivery="\n".join(origin))
    event = _object(raw)
    if isinstance(layout, FieldMap):
        return _mapped(layout, event)
    if layout is FormatName.GITHUB:
        return _github(event, system=sender.name)
    return _azure_monitor(event, system=sender.name, reach=_reach(sender, catalogue))


def _refuse_twins(raw: bytes) -> None:
    """
    A name given twice is how text in a template changes what stands before it.

    Templates put text between quotation marks without always escaping it, and of two the last
    would count.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise InvalidRequest("body: a name is given twice in one object; give it once")
        return found

    # What is no JSON is told by whoever reads it next.
    with suppress(ValueError, RecursionError):
        json.loads(raw, object_pairs_hook=once)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("body: not valid JSON in UTF-8; send one JSON object") from error
    if not isinstance(found, dict):
        raise InvalidRequest("body: no JSON object; send one JSON object")
    return found


def _request(fields: Mapping[str, Any]) -> ResetRequest:
    """By way of the one definition that validates; what is empty counts as left out."""
    ticket = {k: v for k, v in fields.get("ticket", {}).items() if v not in ("", None)}
    given = {k: v for k, v in fields.items() if v not in ("", None, [], {}) and k != "ticket"}
    if ticket.get("id"):
        given["ticket"] = ticket
    # A ticket's prose may be longer than a reason: its beginning is enough to find it again.
    if isinstance(reason := given.get("reason"), str) and len(reason) > LONGEST_REASON:
        given["reason"] = f"{reason[: LONGEST_REASON - 1]}…"
    return parse_request(msgspec.json.encode(given))


# Declared maps


def _mapped(fields: FieldMap, event: dict[str, Any]) -> Asked | AsksNothing:
    for pointer, wanted in fields.when.items():
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        if not any(_equal(look_up(event, pointer), one) for one in allowed):
            return AsksNothing(reason=f"{pointer} is not what this sender's `when` asks for")
    target = _text(event, fields.target)
    if target is None:
        return AsksNothing(reason=f"there is no target at {fields.target}")
    ticket = fields.ticket
    request = _request(
        {
            "target": target,
            "requestId": _text(event, fields.request_id),
            "reason": _text(event, fields.reason),
            "requestedBy": _text(event, fields.requested_by),
            "ticket": {
                "system": _text(event, ticket.system),
                "id": _text(event, ticket.id),
                "url": _text(event, ticket.url),
            }
            if ticket is not None
            else {},
            "subjects": _subjects(event, fields.subjects),
            "notBefore": _text(event, fields.not_before),
            "dryRun": _value(event, fields.dry_run),
        }
    )
    return Asked(request=request)


def _equal(found: Any, wanted: Words) -> bool:
    # True == 1 for Python, and is not for JSON.
    return type(found) is type(wanted) and found == wanted


def _value(event: dict[str, Any], declared: str | bool) -> Any:
    if isinstance(declared, str) and declared.startswith("/"):
        return look_up(event, declared)
    return declared


def _text(event: dict[str, Any], declared: str) -> Any:
    """A number becomes text, as in ids; anything else is for the validation to judge."""
    found = _value(event, declared)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    return found if found != "" else None


def _subjects(event: dict[str, Any], declared: str | tuple[str, ...]) -> Any:
    found = list(declared) if isinstance(declared, tuple) else _text(event, declared)
    return [found] if isinstance(found, str) else found


# GitHub issues

LABEL: Final = "reset:"
"""A label `reset:salesforce-prod` asks for a reset of that target."""

MEMBERS: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""Opening an issue may be anybody's; these have rights on the repository."""

_HEADING: Final = re.compile(r"^### (.{1,100})$", re.MULTILINE)
_NO_RESPONSE: Final = "_No response_"


def _github(event: dict[str, Any], *, system: str) -> Asked | AsksNothing:
    """
    Events of issues. Only the body counts: the header with the event's name is not signed.

    https://docs.github.com/webhooks/webhook-events-and-payloads#issues
    """
    issue = event.get("issue")
    if not isinstance(issue, dict) or "comment" in event or "pull_request" in issue:
        return AsksNothing(reason="only events of issues ask for anything")
    member = issue.get("author_association") in MEMBERS
    action, form = event.get("action"), _form(issue.get("body"))
    if action == "labeled":
        opener = look_up(issue, "/user/login")
        if not member and opener is not None and opener == look_up(event, "/sender/login"):
            # A template with labels gives them in the name of whoever opens the issue.
            return AsksNothing(reason="whoever opened the issue is no member or collaborator")
        # What a stranger has written says nothing of what the one with the label wants.
        form = form if member else {}
        label = look_up(event, "/label/name")
        if not isinstance(label, str) or not label.startswith(LABEL):
            return AsksNothing(reason=f"the label does not begin with {LABEL}")
        target: Any = label.removeprefix(LABEL).strip()
    elif action == "opened":
        target = form.get("target", "")
        if not target:
            return AsksNothing(reason="the issue has no section `Target`")
        if not member:
            return AsksNothing(reason="whoever opened the issue is no member or collaborator")
    else:
        return AsksNothing(reason="only `opened` and `labeled` ask for anything")
    users = form.get("users", "")
    request = _request(
        {
            "target": target,
            "reason": form.get("reason") or issue.get("title"),
            "requestedBy": look_up(event, "/sender/login"),
            "ticket": {
                "system": system,
                "id": _issue_id(look_up(event, "/repository/full_name"), issue.get("number")),
                "url": issue.get("html_url"),
            },
            "subjects": [user for user in re.split(r"[\s,]+", users) if user],
            "dryRun": _ticked("Dry run", form.get("dry run", "")),
        }
    )
    return Asked(request=request)


_BOX: Final = re.compile(r"- \[(x| )\].*", re.IGNORECASE)


def _ticked(heading: str, answer: str) -> bool:
    """A check box that is ticked, or yes; what is neither yes nor no must not be taken for no."""
    boxes = [_BOX.fullmatch(line.strip()) for line in answer.splitlines() if line.strip()]
    if boxes and all(boxes):
        return any(box[1] != " " for box in boxes if box)
    word = answer.strip().lower()
    if word in {"yes", "true"}:
        return True
    if word in {"", "no", "false"}:
        return False
    raise InvalidRequest(f"{heading}: neither yes nor no; answer Yes or No, or tick a box")


def _issue_id(repository: Any, number: Any) -> str:
    if not isinstance(number, int):
        return ""
    whole = f"{repository}#{number}"
    # An owner and a repository may have longer names than a ticket's id: the URL has them too.
    return whole if len(whole) <= LONGEST_TICKET_ID else f"#{number}"


def _form(body: Any) -> dict[str, str]:
    """An issue form's answers by lower-case heading, as GitHub writes them into the body."""
    if not isinstance(body, str):
        return {}
    parts = _HEADING.split(body.replace("\r\n", "\n"))
    answers = zip(parts[1::2], parts[2::2], strict=True)
    found = {heading.strip().lower(): text.strip() for heading, text in answers}
    return {heading: text for heading, text in found.items() if text != _NO_RESPONSE}


# Azure Monitor

SCHEMA: Final = "azureMonitorCommonAlertSchema"

Reach = Mapping[str, tuple[str, str]]
"""Alias -> (service principal, job) of the targets of one sender; an empty job: the only one."""


def _reach(sender: Sender, catalogue: Catalogue | None) -> Reach:
    return {
        alias: (target.service_principal_id.lower(), target.job_id)
        for alias, target in (catalogue or {}).items()
        if alias in sender.entry.targets
    }


def _azure_monitor(event: dict[str, Any], *, system: str, reach: Reach) -> Asked | AsksNothing:
    """https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema."""
    if event.get("schemaId") != SCHEMA:
        raise InvalidRequest(
            f"schemaId: not {SCHEMA}; enable the common alert schema in the action group"
        )
    essentials = look_up(event, "/data/essentials")
    if not isinstance(essentials, dict):
        raise InvalidRequest("data.essentials: missing; send the alert as Azure Monitor does")
    condition = essentials.get("monitorCondition")
    if condition != "Fired":
        return AsksNothing(reason="only an alert that has fired asks for anything")
    names = _alert_values(event)
    alert = str(essentials.get("originAlertId") or essentials.get("alertId") or "")
    fired = str(essentials.get("firedDateTime") or "")
    rule, words = essentials.get("alertRule"), essentials.get("description")
    request = _request(
        {
            "target": _alert_target(names, reach),
            "reason": ": ".join(str(part) for part in ("alert", rule, words) if part),
            "requestedBy": "Azure Monitor",
            "ticket": {"system": system, "id": alert.rpartition("/")[2]},
        }
    )
    return Asked(request=request, delivery=f"{alert}\n{fired}" if alert and fired else "")


_ALERT_NAMES: Final = ("target", "serviceprincipalid", "jobid")


def _alert_values(event: dict[str, Any]) -> dict[str, str]:
    """
    Custom properties and dimensions, by lower-case name; search results are not in the alert.

    An alert whose rows name several jobs is refused: split the rule by these dimensions.
    """
    pairs: list[tuple[Any, Any]] = []
    for pointer in ("/data/customProperties", "/data/alertContext/properties"):
        found = look_up(event, pointer)
        pairs += list(found.items()) if isinstance(found, dict) else []
    conditions = look_up(event, "/data/alertContext/condition/allOf")
    for condition in conditions if isinstance(conditions, list) else []:
        found = condition.get("dimensions") if isinstance(condition, dict) else None
        for each in found if isinstance(found, list) else []:
            if isinstance(each, dict):
                pairs.append((each.get("name"), each.get("value")))
    values: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower() if isinstance(name, str) else ""
        if key not in _ALERT_NAMES or not isinstance(value, str) or not value:
            continue
        if values.setdefault(key, value) != value:
            raise InvalidRequest(f"{name}: two values in one alert; split the rule by it")
    return values


def _alert_target(values: Mapping[str, str], reach: Reach) -> str:
    if alias := values.get("target"):
        return alias
    principal, job = values.get("serviceprincipalid", "").lower(), values.get("jobid", "")
    if not principal:
        raise InvalidRequest(
            "data.alertContext: neither target nor ServicePrincipalId; give the rule a dimension "
            "or a custom property of that name"
        )
    fits = [
        alias
        for alias, (its_principal, its_job) in reach.items()
        if its_principal == principal and (not job or not its_job or its_job == job)
    ]
    if len(fits) != 1:
        many = "several targets; give JobId too" if fits else "no target that this sender reaches"
        raise InvalidRequest(f"ServicePrincipalId: belongs to {many}")
    return fits[0]
