"""Verify a webhook, parse it, check that its sender may reach the target, and submit the reset."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from shared.config import Settings
from shared.domain.characters import in_plain_letters
from shared.domain.errors import (
    BadSignature,
    IdReused,
    InvalidRequest,
    NotJson,
    NotReachable,
    RelinkError,
    SettingsError,
    TooLarge,
    TooManyOpen,
)
from shared.domain.media import is_utf8
from shared.domain.ports import Clock
from shared.domain.requests import (
    LONGEST_REQUEST,
    WORDING,
    Received,
    ResetRequest,
    derived_id,
    reserved_form,
)
from shared.telemetry import emit
from shared.use_cases.accept import Accepted
from shared.use_cases.refusals import RefusalLog
from shared.use_cases.submit import Submission
from shared.webhooks.formats import read_payload
from shared.webhooks.parsed import AsksNothing
from shared.webhooks.senders import FormatName, Sender
from shared.webhooks.signatures import DOES_NOT_FIT, delivery_key, verify

LONGEST_WEBHOOK: Final = 512 * 1024
"""Bytes of a body. Azure Monitor sends up to 256 KB; a request of any sender up to 48 KiB."""


class ReceiveWebhook(Struct, frozen=True, kw_only=True):
    """The use case `receive_webhook`. It calls no Graph, and stores nothing that is refused."""

    submission: Submission
    settings: Settings
    clock: Clock
    refusals: RefusalLog

    async def receive(
        self,
        name: str,
        headers: Mapping[str, str],
        raw: bytes,
        query: Mapping[str, str] | None = None,
    ) -> Accepted | AsksNothing:
        """
        Return the reset that the webhook asks for; a repeated delivery gets the first one.

        *headers* in any letter case; *query* of the address is not signed, and names nothing of a
        request. Raise TooLarge, SettingsError while a setting is wrong,
        BadSignature for an unknown sender too, NotJson, InvalidRequest, IdReused,
        NotReachable, and StorageUnavailable where it should be sent again.
        """
        sender = self.settings.senders.get(name)
        try:
            if len(raw) > LONGEST_WEBHOOK:
                raise TooLarge(_too_large(raw, LONGEST_WEBHOOK))
            if self.settings.problems:
                raise named_only(self.settings.problems[0])
            if sender is None:
                # In the words for a wrong secret: a stranger is not told which senders there are.
                raise BadSignature(DOES_NOT_FIT, why="sender")
            found = await self._accepted(sender, headers, raw, query or {})
        except tuple(_WHY) as error:
            self.refusals.refused(sender=sender.name if sender else "", why=_why(error))
            raise
        if isinstance(found, AsksNothing):
            emit("webhook.ignored", sender=sender.name, why=found.reason)
        else:
            row = found.stored.row
            emit(
                "webhook.received",
                sender=sender.name,
                id=row.id,
                target=row.target,
                known=found.known,
            )
        return found

    async def _accepted(
        self, sender: Sender, headers: Mapping[str, str], raw: bytes, query: Mapping[str, str]
    ) -> Accepted | AsksNothing:
        now, entry = self.clock(), sender.entry
        lower = {key.lower(): value for key, value in headers.items()}
        longest = LONGEST_REQUEST if entry.format is FormatName.RELINK else LONGEST_WEBHOOK
        verify(entry.scheme, sender.secrets, lower, raw, header=entry.header, now=now)
        if len(raw) > longest:
            raise TooLarge(_too_large(raw, longest))
        _check_type(lower.get("content-type", ""))
        _check_address(query)
        parsed = read_payload(sender, raw, self.settings.catalogue)
        if isinstance(parsed, AsksNothing):
            return parsed
        request = parsed.request
        _check_filled(request)
        self._check_reach(sender, request.target)
        key = delivery_key(entry.scheme, lower, raw, named=parsed.delivery, now=now)
        origin = ("once", parsed.once) if parsed.once else key
        received = Received(id=_id_of(request, sender, origin), request=request)
        return await self.submission.submit(received, via=f"webhook:{sender.name}")

    def _check_reach(self, sender: Sender, target: str) -> None:
        if target in sender.entry.targets:
            return
        if target in (self.settings.catalogue or {}):
            raise NotReachable(
                f"target: sender {sender.name} may not reach {target}; list it among the sender's "
                "targets in WEBHOOK_SENDERS"
            )
        known = ", ".join(sorted(sender.entry.targets)[:50]) or "none"
        raise InvalidRequest(f"target: unknown; sender {sender.name} may reach: {known}")


def named_only(problem: str) -> SettingsError:
    """Name the setting of a problem and no more: anybody may ask."""
    setting = problem.partition(":")[0]
    return SettingsError(f"{setting}: must be put right; GET /api/health says how")


def _too_large(raw: bytes, longest: int) -> str:
    return f"body: {len(raw):,} bytes, at most {longest:,} are taken; shorten it"


def _id_of(request: ResetRequest, sender: Sender, origin: tuple[str, ...]) -> str:
    """Under the sender's name, so that no sender can take the ids of another one."""
    if not request.request_id:
        return derived_id("webhook", sender.name, *origin)
    if why := reserved_form(request.request_id, ()):
        raise InvalidRequest(f"requestId: {why}; choose another id")
    return f"{sender.name}.{request.request_id}"


def _check_filled(request: ResetRequest) -> None:
    """A ticket system leaves a placeholder as it stands where it does not know the name."""
    ticket = request.ticket.id if request.ticket is not None else ""
    for name, text in (("ticket.id", ticket), *(("subjects", each) for each in request.subjects)):
        if _PLACEHOLDER.fullmatch(text):
            raise InvalidRequest(
                f"{name}: a placeholder that the sender did not fill in; correct its name in the "
                "template"
            )


_PLACEHOLDER: Final = re.compile(r"\s*(?:\{\{.*\}\}|\$\{.*\}|<%.*%>|\{%.*%\})\s*", re.DOTALL)


def _check_address(query: Mapping[str, str]) -> None:
    """`?dryRun=true` in an address would be overlooked, and the job restarted."""
    for name in query:
        if in_plain_letters(name) in _OF_A_REQUEST:
            raise InvalidRequest(
                f"{name[:64]}: stands in the address, which is not signed; put it into the body"
            )


_OF_A_REQUEST: Final = frozenset(map(in_plain_letters, WORDING.names[""]))


def _check_type(content_type: str) -> None:
    """Without a content type the body is taken as JSON, as all formats are."""
    media = content_type.partition(";")[0].strip().lower()
    json = media in {"", "application/json"} or media.endswith("+json")
    if not json or media.endswith("-batch+json") or not is_utf8(content_type):
        raise NotJson(
            "Content-Type: only JSON is read; set it to application/json in the webhook's settings "
            "at the sender"
        )


_WHY: Final[Mapping[type[RelinkError], str]] = {
    BadSignature: "signature",
    TooLarge: "size",
    NotJson: "content-type",
    IdReused: "id",
    InvalidRequest: "body",
    TooManyOpen: "open",
    NotReachable: "target",
}


def _why(error: RelinkError) -> str:
    """Return one of a few words: nothing of a body may reach a log."""
    if isinstance(error, BadSignature):
        return error.why
    return next(_WHY[kind] for kind in type(error).__mro__ if kind in _WHY)
