"""
Log lines: an event's name, then its fields as JSON on the same line.

The Functions worker forwards level, message and category and drops `extra`, and it can lose or
swap its own invocation id under concurrency: hence JSON in the message, with our own id in it. They
stand in `extra` too, which OpenTelemetry exports as attributes.
"""

import json
import logging
from typing import Final

_log: Final = logging.getLogger("relink")

_TAKEN: Final = {"event", "message", "asctime", *vars(logging.makeLogRecord({}))}
"""What a log record may not be given; such a field has an underscore behind it there."""

EVENTS: Final[dict[str, int]] = {
    "message.received": logging.INFO,
    "message.unreadable": logging.ERROR,
    "message.sent_again": logging.INFO,
    "message.repeated": logging.INFO,
    "message.poisoned": logging.ERROR,
    "webhook.received": logging.INFO,
    "webhook.ignored": logging.INFO,
    "webhook.refused": logging.WARNING,
    "sender.at_bound": logging.WARNING,
    "reset.accepted": logging.INFO,
    "reset.waiting": logging.INFO,
    "reset.awaiting_approval": logging.WARNING,
    "reset.sending": logging.INFO,
    "reset.unknown": logging.WARNING,
    "reset.fate_asked": logging.ERROR,
    "reset.restarted": logging.INFO,
    "reset.progress": logging.INFO,
    "reset.completed": logging.INFO,
    "reset.failed": logging.ERROR,
    "reset.refused": logging.WARNING,
    "reset.rejected": logging.INFO,
    "reset.cancelled": logging.INFO,
    "reset.expired": logging.WARNING,
    "reset.previewed": logging.INFO,
    "reset.joined": logging.INFO,
    "reset.late_word": logging.WARNING,
    "reset.newer_row": logging.WARNING,
    "answer.delivered": logging.INFO,
    "answer.put_off": logging.WARNING,
    "answer.undeliverable": logging.ERROR,
    "answer.unheard": logging.WARNING,
    "graph.failed": logging.WARNING,
    "links.failed": logging.WARNING,
    "decision.refused": logging.WARNING,
    "request.failed": logging.ERROR,
    "settings.bad": logging.ERROR,
    "sweep.done": logging.INFO,
    "sweep.failed": logging.ERROR,
    "sweep.stood_in": logging.WARNING,
    "remediate.asked": logging.INFO,
    "remediate.left": logging.INFO,
    "remediate.done": logging.INFO,
    "remediate.failed": logging.ERROR,
    "storage.failed": logging.ERROR,
    "invocation.cancelled": logging.ERROR,
}
"""The closed list; docs/operate/events.md says what each means, alerts parse it."""


TALKATIVE: Final = (
    "azure.core",
    "azure.data",
    "azure.identity",
    "azure.storage",
    "httpx",
    "msal",
    "urllib3",
)
"""
Loggers of libraries that write several lines about each call.

Not `azure` as a whole: below it the Functions worker keeps its own.
"""


def quiet_libraries() -> None:
    """
    Leave only warnings of the libraries.

    The worker sets the root logger to INFO and forwards everything: one sweep would send sixteen
    lines of theirs, with all headers, beside one of ours.
    """
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def emit(event: str, /, **fields: str | float | bool | None) -> None:
    """Log *event*; a name that is not in the list is a defect and raises KeyError."""
    level = EVENTS[event]
    shown = {name: value for name, value in fields.items() if value not in (None, "")}
    line = json.dumps(shown, ensure_ascii=False, default=str)
    extra = {f"{name}_" if name in _TAKEN else name: value for name, value in shown.items()}
    _log.log(level, "%s %s", event, line, extra={"event": event, **extra})
