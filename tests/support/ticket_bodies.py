"""What each ticket system documents as the body of a comment; nothing beside it is taken."""

from collections.abc import Mapping
from typing import Any, Final

from shared.domain.notifier_kinds import NotifierKind


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 32_000}
_NODE: Final = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "text"},
        "text": _TEXT,
        "marks": {
            "type": "array",
            "items": _object(type={"const": "link"}, attrs=_object(href=_TEXT)),
        },
    },
    "additionalProperties": False,
}
_PARAGRAPH: Final = _object(
    type={"const": "paragraph"}, content={"type": "array", "items": _NODE, "minItems": 1}
)
# https://unpkg.com/@atlaskit/adf-schema/dist/json-schema/v1/full.json, the nodes that are used.
_ADF: Final = _object(
    type={"const": "doc"},
    version={"const": 1},
    content={
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                _PARAGRAPH,
                _object(
                    type={"const": "blockquote"},
                    content={"type": "array", "items": _PARAGRAPH, "minItems": 1},
                ),
            ]
        },
    },
)
_RUN: Final = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "TextRun"},
        "text": _TEXT,
        "weight": {"enum": ["Bolder"]},
        "size": {"enum": ["Small"]},
        "isSubtle": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_CARD: Final = {
    "type": "object",
    "required": ["type", "version", "body"],
    "properties": {
        "$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"},
        "type": {"const": "AdaptiveCard"},
        "version": {"const": "1.5"},
        "fallbackText": _TEXT,
        "body": {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    _object(
                        type={"const": "RichTextBlock"},
                        inlines={"type": "array", "items": _RUN, "minItems": 1},
                    ),
                    _object(
                        type={"const": "FactSet"},
                        facts={"type": "array", "items": _object(title=_TEXT, value=_TEXT)},
                    ),
                ]
            },
        },
        "actions": {
            "type": "array",
            "items": _object(type={"const": "Action.OpenUrl"}, title=_TEXT, url=_TEXT),
        },
    },
    "additionalProperties": False,
}
_SLACK_TEXT: Final = _object(
    type={"enum": ["plain_text", "mrkdwn"]}, text={**_TEXT, "maxLength": 3000}
)

BODIES: Final[Mapping[NotifierKind, dict[str, Any]]] = {
    NotifierKind.SERVICENOW: _object(work_notes=_TEXT),
    NotifierKind.JIRA: _object(body=_ADF),
    NotifierKind.JSM: _object(body=_TEXT, public={"const": False}),
    NotifierKind.ZENDESK: _object(
        ticket=_object(comment=_object(body=_TEXT, public={"const": False}))
    ),
    NotifierKind.GITHUB: _object(body={**_TEXT, "maxLength": 65_536}),
    NotifierKind.PAGERDUTY: _object(note=_object(content={**_TEXT, "maxLength": 25_000})),
    NotifierKind.FRESHSERVICE: _object(body=_TEXT, private={"const": True}),
    NotifierKind.TEAMS: _object(
        type={"const": "message"},
        attachments={
            "type": "array",
            "minItems": 1,
            "items": _object(
                contentType={"const": "application/vnd.microsoft.card.adaptive"},
                contentUrl={"type": "null"},
                content=_CARD,
            ),
        },
    ),
    NotifierKind.SLACK: _object(
        text=_TEXT,
        blocks={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "anyOf": [
                    _object(type={"const": "section"}, text=_SLACK_TEXT),
                    _object(
                        type={"const": "context"},
                        elements={"type": "array", "items": _SLACK_TEXT, "maxItems": 10},
                    ),
                ]
            },
        },
    ),
    NotifierKind.WEBHOOK: _object(
        type={"type": "string", "pattern": r"^reset\.[a-z_]+$"},
        timestamp={"type": "string", "format": "date-time"},
        data={
            "type": "object",
            "required": ["id", "target", "kind", "state", "text", "ticket"],
        },
    ),
}
