"""What an event of a GitHub issue asks for: a label, or an issue form. Pure."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

from shared.domain.errors import InvalidRequest
from shared.domain.requests import LONGEST_TICKET_ID
from shared.webhooks.json_pointer import look_up
from shared.webhooks.parsed import AsksNothing, ParsedRequest, as_request

NEW: Final = timedelta(minutes=1)
"""How long after its creation an issue's events tell of its creation."""

LABEL: Final = "reset:"
"""A label `reset:salesforce-prod` asks for a reset of that target."""

MEMBERS: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""Opening an issue may be anybody's; these have rights on the repository."""

_HEADING: Final = re.compile(r"^### (.{1,100})$", re.MULTILINE)
_NO_RESPONSE: Final = frozenset({"_No response_", "None"})
"""What GitHub writes for a field that was left empty, and for a dropdown."""

_ASKED: Final = frozenset({"target", "reason", "users", "dry run"})


def read_issue_event(event: dict[str, Any], *, system: str) -> ParsedRequest | AsksNothing:
    """
    Events of issues. Only the body counts: the header with the event's name is not signed.

    https://docs.github.com/webhooks/webhook-events-and-payloads#issues
    """
    if "zen" in event and "hook_id" in event:
        return AsksNothing(
            reason="a ping: the webhook works; only events of issues ask for anything"
        )
    issue = event.get("issue")
    if not isinstance(issue, dict) or "comment" in event or "pull_request" in issue:
        return AsksNothing(reason="only events of issues ask for anything")
    member = str(issue.get("author_association")) in MEMBERS
    action, form = event.get("action"), _form(issue.get("body"))
    if action == "labeled":
        opener = look_up(issue, "/user/login")
        if not member and opener is not None and opener == look_up(event, "/sender/login"):
            # A template with labels sets them in the name of the person who opens the issue.
            return AsksNothing(
                reason="the person who opened the issue is not a member or collaborator"
            )
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
            return AsksNothing(
                reason="the person who opened the issue is not a member or collaborator"
            )
    else:
        return AsksNothing(reason="only `opened` and `labeled` ask for anything")
    users = form.get("users", "")
    request = as_request(
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
    return ParsedRequest(request=request, once=_birth(issue, str(target)))


def _birth(issue: dict[str, Any], target: str) -> str:
    """
    Name a new issue by its address and its time of creation.

    An issue that is created with a label comes twice within a second, as `opened` and as `labeled`.
    A label that is given later is a request of its own.
    """
    address, created = issue.get("url") or issue.get("html_url"), issue.get("created_at")
    if not isinstance(address, str) or not isinstance(created, str):
        return ""
    try:
        age = datetime.fromisoformat(str(issue.get("updated_at"))) - datetime.fromisoformat(created)
    except (ValueError, TypeError):
        return ""
    return f"{address}\n{created}\n{target}" if age <= NEW else ""


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
    found: dict[str, str] = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        name = heading.strip().lower()
        if name in found and name in _ASKED:
            raise InvalidRequest(f"{heading.strip()}: the issue has this section twice; keep one")
        found[name] = text.strip()
    return {heading: text for heading, text in found.items() if text not in _NO_RESPONSE}
