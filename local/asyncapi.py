"""
Build the AsyncAPI document of the queues and webhooks; its schemas are the types that validate.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from typing import Any, Final

import msgspec

from shared.domain.requests import (
    LONGEST_REQUEST,
    ResetRequest,
    leave_out_empty_defaults,
    take_null_as_left_out,
)
from shared.domain.reset import NotificationKind, State
from shared.domain.ticket_facts import Facts
from shared.names import FOLLOW_UPS_QUEUE, NOTIFICATIONS_QUEUE, RESETS_QUEUE
from shared.web.openapi import API_VERSION
from shared.web.views import AcceptedView

type Part = dict[str, Any]

JSON: Final = "application/json"
EVENT_TYPES: Final = tuple(
    dict.fromkeys(
        f"reset.{moment}"
        for moment in (*(k for k in NotificationKind if k is not NotificationKind.END), *State)
    )
)
"""Of the webhook of a notifier: the moment, or at the end the state."""


def asyncapi_text() -> str:
    """Return the document as it is published."""
    return json.dumps(asyncapi_document(), indent=2, ensure_ascii=False) + "\n"


def asyncapi_document() -> Part:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Relink: queues and webhooks",
            "version": API_VERSION,
            "description": "What may be put on the queue, what the app puts on its own queues, "
            "what senders post to it, and what it posts to a notifier of kind `webhook`.",
            "license": {"name": "MIT"},
            "contact": {"name": "The people who operate this app"},
        },
        "defaultContentType": JSON,
        "servers": _SERVERS,
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": _schemas(),
            "messages": _messages(),
            "securitySchemes": {
                "senderSecret": {
                    "type": "httpApiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "A signature or secret, by the scheme of the sender's entry in "
                    "WEBHOOK_SENDERS; this is the one of Standard Webhooks.",
                },
                "roles": {
                    "type": "userPassword",
                    "description": "A role of Azure: Storage Queue Data Message Sender.",
                },
            },
        },
    }


_SERVERS: Final[Part] = {
    "queues": {
        "host": "ACCOUNT.queue.core.windows.net",
        "protocol": "https",
        "description": "Azure Queue Storage.",
        "security": [{"$ref": "#/components/securitySchemes/roles"}],
    },
    "app": {
        "host": "APP.azurewebsites.net",
        "protocol": "https",
        "description": "The Functions app.",
        "security": [{"$ref": "#/components/securitySchemes/senderSecret"}],
    },
    "receiver": {
        "host": "RECEIVER.example",
        "protocol": "https",
        "description": "The `url` of a notifier of kind `webhook`.",
    },
}


def _channels() -> Part:
    def channel(server: str, address: str, description: str, *messages: str) -> Part:
        return {
            "address": address,
            "servers": [{"$ref": f"#/servers/{server}"}],
            "description": description,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        }

    sender = {"parameters": {"sender": {"description": "A name of WEBHOOK_SENDERS."}}}
    return {
        "requests": channel(
            "queues",
            RESETS_QUEUE,
            "Open to other services. Plain JSON or base64 of it; time to live -1, or a request "
            "that waits longer than a week is lost.",
            "resetRequest",
            "cloudEvent",
        ),
        "followUps": channel(
            "queues", FOLLOW_UPS_QUEUE, "The app's own: a reset has work due.", "followUp"
        ),
        "notifications": channel(
            "queues", NOTIFICATIONS_QUEUE, "The app's own: a ticket is to be told.", "toTell"
        ),
        "webhooks": {
            **channel(
                "app",
                "/api/webhooks/{sender}",
                "Of a sender with `format: relink`; other formats have bodies of their own.",
                "resetRequest",
                "cloudEvent",
                "accepted",
            ),
            **sender,
        },
        "answers": channel(
            "receiver", "/", "Signed as https://www.standardwebhooks.com says.", "resetEvent"
        ),
    }


def _operations() -> Part:
    def operation(action: str, channel: str, summary: str) -> Part:
        return {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
        }

    return {
        "runReset": operation("receive", "requests", "Accept a reset and take its first step"),
        "followUpReset": operation("receive", "followUps", "Take one step of a reset that is due"),
        "notify": operation("receive", "notifications", "Deliver one notification"),
        "receiveWebhook": {
            **operation("receive", "webhooks", "Accept what a ticket system asks for"),
            "reply": {
                "channel": {"$ref": "#/channels/webhooks"},
                "messages": [{"$ref": "#/channels/webhooks/messages/accepted"}],
            },
        },
        "tellReceiver": operation("send", "answers", "Tell a receiver what became of a reset"),
    }


def _messages() -> Part:
    def message(schema: str, title: str, **more: object) -> Part:
        return {
            "title": title,
            "contentType": JSON,
            "payload": {"$ref": f"#/components/schemas/{schema}"},
            **more,
        }

    return {
        "resetRequest": message(
            "ResetRequest",
            "A reset request",
            summary=f"At most {LONGEST_REQUEST:,} bytes. Without a `requestId` the message's id "
            "makes one: the same message is one request.",
            examples=[{"name": "smallest", "payload": {"target": "salesforce-prod"}}],
        ),
        "cloudEvent": message(
            "CloudEvent",
            "A reset request in a CloudEvents envelope",
            contentType="application/cloudevents+json",
        ),
        "followUp": message("FollowUp", "The id of a reset, and where its row is"),
        "toTell": message("ToTell", "The place of a row of the outbox"),
        "accepted": message("AcceptedView", "What a sender is answered"),
        "resetEvent": message(
            "ResetEvent",
            "What became of a reset",
            headers={
                "type": "object",
                "properties": {
                    "webhook-id": {"type": "string", "description": "The same at each try."},
                    "webhook-timestamp": {"type": "string", "description": "Unix seconds."},
                    "webhook-signature": {
                        "type": "string",
                        "description": "One `v1,…` for each secret, with blanks between.",
                    },
                },
                "required": ["webhook-id", "webhook-timestamp"],
            },
        ),
    }


def _schemas() -> Part:
    template = "#/components/schemas/{name}"
    _, parts = msgspec.json.schema_components(
        [ResetRequest, AcceptedView, Facts], ref_template=template
    )
    leave_out_empty_defaults(parts.values())
    take_null_as_left_out([parts["ResetRequest"], parts["Ticket"]])
    return {
        **parts,
        "CloudEvent": CLOUD_EVENT,
        # Where its row is; the id alone will do.
        "FollowUp": {**_object(id=_TEXT, target=_TEXT, key=_TEXT), "required": ["id"]},
        "ToTell": _object(target=_TEXT, id=_TEXT, n={"type": "integer", "minimum": 1}),
        "ResetEvent": _object(
            type={"enum": list(EVENT_TYPES)},
            timestamp={"type": "string", "format": "date-time"},
            data={
                "allOf": [
                    {"$ref": "#/components/schemas/Facts"},
                    _object(text=_TEXT, ticket={"$ref": "#/components/schemas/HeardTicket"}),
                ]
            },
        ),
        "HeardTicket": _object(system=_TEXT, id=_TEXT, url=_TEXT),
    }


_TEXT: Final[Part] = {"type": "string"}


def _object(**properties: Part) -> Part:
    return {"type": "object", "properties": properties, "required": list(properties)}


CLOUD_EVENT: Final[Part] = {
    "title": "CloudEvent",
    "description": "A CloudEvents 1.0 envelope in structured mode; `source` and `id` are the "
    "request's id where `data` brings none.",
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "datacontenttype": {"type": ["string", "null"]},
        "data": {"$ref": "#/components/schemas/ResetRequest"},
    },
    "required": ["specversion", "id", "source", "type", "data"],
}
