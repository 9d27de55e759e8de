"""Make the notifier that an entry describes: one table from kind to module."""

from collections.abc import Callable, Mapping
from typing import Final

from shared.adapters.notifiers import github, jira, pagerduty
from shared.adapters.notifiers.channel import Channel
from shared.adapters.notifiers.credentials import credentials_of
from shared.adapters.notifiers.exchange import Exchange
from shared.adapters.notifiers.freshservice import Freshservice
from shared.adapters.notifiers.servicenow import ServiceNow
from shared.adapters.notifiers.slack import Slack
from shared.adapters.notifiers.teams import Teams
from shared.adapters.notifiers.tickets import Caller, TicketNotifier, TicketSystem
from shared.adapters.notifiers.webhook import WebhookNotifier
from shared.adapters.notifiers.zendesk import Zendesk
from shared.domain.notifier_entries import ConfiguredNotifier
from shared.domain.notifier_kinds import NotifierKind
from shared.domain.ports import Clock, Notifier

TICKETS: Final[Mapping[NotifierKind, Callable[[Caller], TicketSystem]]] = {
    NotifierKind.SERVICENOW: ServiceNow,
    NotifierKind.JIRA: jira.Jira,
    NotifierKind.JSM: jira.ServiceProject,
    NotifierKind.ZENDESK: Zendesk,
    NotifierKind.GITHUB: github.GitHub,
    NotifierKind.PAGERDUTY: pagerduty.PagerDuty,
    NotifierKind.FRESHSERVICE: Freshservice,
}
CHANNELS: Final[Mapping[NotifierKind, Callable[[Channel], Notifier]]] = {
    NotifierKind.TEAMS: Teams,
    NotifierKind.SLACK: Slack,
    NotifierKind.WEBHOOK: WebhookNotifier,
}


def make_notifier(found: ConfiguredNotifier, *, clock: Clock) -> Notifier:
    """Open nothing yet: the session is made at the first answer."""
    exchange = Exchange(found.name, clock=clock, writes_to_tickets=found.needs_ticket)
    if found.entry.kind in CHANNELS:
        return CHANNELS[found.entry.kind](Channel(found, exchange))
    caller = Caller(found, exchange, credentials_of(found, exchange), _extra(found))
    return TicketNotifier(caller, TICKETS[found.entry.kind](caller))


def _extra(found: ConfiguredNotifier) -> Mapping[str, str]:
    match found.entry.kind:
        case NotifierKind.GITHUB:
            return github.HEADERS
        case NotifierKind.PAGERDUTY:
            return {"Accept": pagerduty.ACCEPT, "From": found.entry.sender}
        case _:
            return {}
