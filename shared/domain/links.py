"""
Judge what happened to the link of one user: before a restart, after it, and why not.

The link goes from the source anchor (the Entra object id) to the target anchor (the account's id
in the application). A provisioning-log row names both. Names of provisioning steps are not
documented: they are shown as evidence and never decide alone.
https://learn.microsoft.com/graph/api/resources/provisioningobjectsummary
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import replace
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct, field

from shared.domain.reset import Link

MAX_EVIDENCE: Final = 2000
"""Characters of the evidence that a row keeps."""

_ID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_OBJECT_ID: Final = re.compile(rf"(?P<bare>{_ID})|\{{(?P<braced>{_ID})\}}")

BY_STORED_LINK: Final = "EntryImport"
BY_ATTRIBUTES: Final = frozenset({"EntryImportByJoiningProperty", "EntryImportByMatchingProperty"})


class LinkVerdict(StrEnum):
    """What the evidence says about one user's link after a restart."""

    RELINKED = "relinked"
    STILL_LINKED = "still_linked"
    CREATED = "created"
    NOT_SEEN = "not_seen"
    UNKNOWN = "unknown"


class LinkSource(StrEnum):
    """Where a link was read."""

    PROVISIONING_LOG = "provisioning log"
    OBJECT_CONNECTION = "object connection"
    PROVISION_ON_DEMAND = "provision on demand"


class ProvisioningStep(Struct, frozen=True, kw_only=True):
    """A step of a provisioning-log row; `target_id` is the account that the step names."""

    name: str
    kind: str = ""
    status: str = ""
    description: str = ""
    target_id: str = ""


class ProvisioningEntry(Struct, frozen=True, kw_only=True):
    """
    A row of the provisioning logs, or the result of provision on demand, for one object.

    `at` is None where Graph sent no readable time; `target_id` is empty on rows that failed
    before a match.
    """

    source_id: str
    source_type: str = ""
    target_id: str = ""
    job_id: str = ""
    at: datetime | None = None
    action: str = ""
    status: str = ""
    error_code: str = ""
    reason: str = ""
    steps: tuple[ProvisioningStep, ...] = ()
    origin: LinkSource = LinkSource.PROVISIONING_LOG

    @property
    def is_user(self) -> bool:
        """Graph's identity types vary in case and, for SCIM, in form."""
        return self.source_type.rpartition(":")[2].lower() == "user"

    @property
    def stored_target(self) -> str:
        """The account that the stored link names."""
        return self._step_target({BY_STORED_LINK}) or self.target_id

    @property
    def matched_target(self) -> str:
        """The account that the matching attributes find, where the row has such a step."""
        return self._step_target(BY_ATTRIBUTES)

    def _step_target(self, names: Iterable[str]) -> str:
        wanted = {name.lower() for name in names}
        found = (s.target_id for s in self.steps if s.name.lower() in wanted and s.target_id)
        return next(found, "")


class StoredLink(Struct, frozen=True, kw_only=True):
    """A link as it was seen: from whom, to what, when, and where that was read."""

    source_id: str
    target_id: str
    at: datetime | None
    origin: LinkSource
    display_name: str = ""


class MatchingAttribute(Struct, frozen=True, kw_only=True):
    """
    One attribute that decides a new match, lowest `priority` number first.

    `source` is an attribute's name, or an expression where the mapping has one; `value` is the
    user's, or None where it may not be read.
    """

    priority: int
    source: str
    target: str
    is_expression: bool = False
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.source_with_value} = {self.target}"

    @property
    def source_with_value(self) -> str:
        """`userPrincipalName (adele@contoso.com)`; the name alone where no value may be read."""
        return self.source if self.value is None else f"{self.source} ({self.value or 'no value'})"


def with_values(
    matching: Sequence[MatchingAttribute], values: Mapping[str, str]
) -> tuple[MatchingAttribute, ...]:
    """The attributes with a user's values, where they may be read."""
    return tuple(replace(each, value=values.get(each.source)) for each in matching)


def dump_matching(matching: Sequence[MatchingAttribute]) -> str:
    """The attributes as JSON, as a column keeps them; empty where there are none."""
    return msgspec.json.encode(matching).decode() if matching else ""


def load_matching(text: str) -> tuple[MatchingAttribute, ...]:
    """The attributes that `dump_matching` wrote."""
    return msgspec.json.decode(text, type=tuple[MatchingAttribute, ...]) if text else ()


class Subject(Struct, frozen=True, kw_only=True):
    """A user of a request as resolved: `problem` says why the object id is not known."""

    asked: str
    object_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class EntriesRead(Struct, frozen=True, kw_only=True):
    """
    A page of entries; `problem` says why there are none, `next_link` leads to the next page.

    `expired`: the link that was followed leads nowhere any more, and the list begins again.
    """

    entries: tuple[ProvisioningEntry, ...] = ()
    next_link: str = ""
    problem: str = ""
    expired: bool = False


class MappingsRead(Struct, frozen=True, kw_only=True):
    """
    A job's schema as Graph sent it, with what decides a match; `problem` says why there is none.

    `user_rule` is the id of the rule that provisions users.
    """

    schema: bytes = b""
    matching: tuple[MatchingAttribute, ...] = ()
    user_rule: str = ""
    problem: str = ""


class ConnectionRead(Struct, frozen=True, kw_only=True):
    """A link as the preview API for object connections shows it; `problem` says why not."""

    link: StoredLink | None = None
    problem: str = ""


class LinkEvidence(Struct, frozen=True, kw_only=True):
    """The verdict on one user's link with what it rests on, in one or two sentences."""

    verdict: LinkVerdict
    before: str = ""
    after: str = ""
    evidence: str = ""
    remedy: str = ""


def object_id_of(text: str) -> str:
    """
    The Entra object id that the text is, in lower case; empty where it is none.

    It needs no look-up. Some tools write it in braces.
    """
    found = _OBJECT_ID.fullmatch(text.strip())
    return (found["bare"] or found["braced"]).lower() if found is not None else ""


def link_before(entries: Iterable[ProvisioningEntry], user_id: str) -> StoredLink | None:
    """
    Return the stored link of a user from the newest row that names a target.

    The rows are sorted here, not trusted to come in order: with ties the order does not matter,
    because a row without a time is the oldest and equal times compare by their target.
    """
    rows = [e for e in entries if _is_of(e, user_id) and e.stored_target]
    if not rows:
        return None
    newest = max(rows, key=_moment)
    return StoredLink(
        source_id=user_id,
        target_id=newest.stored_target,
        at=newest.at,
        origin=newest.origin,
    )


def matched_differently(entries: Iterable[ProvisioningEntry], user_id: str) -> str:
    """Say what a full restart would change, where a row names both accounts; else empty."""
    rows = sorted((e for e in entries if _is_of(e, user_id)), key=_moment, reverse=True)
    for row in rows:
        stored, matched = row.stored_target, row.matched_target
        if stored and matched and stored != matched:
            return (
                f"the provisioning log shows the stored link to {stored}, while the matching "
                f"attributes find {matched}: a full restart would link to {matched}"
            )
    return ""


def judge_link(
    before: StoredLink | None,
    entries: Sequence[ProvisioningEntry],
    user_id: str,
    *,
    restarted_at: datetime,
    matching: Sequence[MatchingAttribute] = (),
    after: StoredLink | None = None,
) -> LinkEvidence:
    """
    Return the verdict on one user's link after a restart.

    *entries* may hold rows of any user and time; those after *restarted_at* (Graph's clock)
    count. *after* is a link that was read directly (an object connection): it wins.
    """
    old = before.target_id if before else ""
    rows = sorted(
        (e for e in entries if _is_of(e, user_id) and e.at is not None and e.at > restarted_at),
        key=_moment,
        reverse=True,
    )
    newest = next((e for e in rows if e.target_id or e.matched_target), None)
    if after is not None and after.target_id:
        return _linked(old, after.target_id, str(after.origin), newest, matching)
    if newest is not None:
        new = newest.target_id or newest.matched_target
        return _linked(old, new, _where(newest), newest, matching)
    if rows:
        return _seen_without_target(rows[0], old)
    return LinkEvidence(
        verdict=LinkVerdict.NOT_SEEN,
        before=old,
        evidence="no row of the provisioning logs names this user since the restart",
        remedy="check that the user is assigned to the application and passes the scoping filter; "
        "rows may also come later",
    )


def _linked(
    old: str,
    new: str,
    where: str,
    row: ProvisioningEntry | None,
    matching: Sequence[MatchingAttribute],
) -> LinkEvidence:
    created = (
        row is not None
        and row.action.lower() == "create"
        and row.status.lower() in {"success", "warning"}
        and row.target_id == new
    )
    if created and new != old:
        return LinkEvidence(
            verdict=LinkVerdict.CREATED,
            before=old,
            after=new,
            evidence=_cut(f"{where}: a new account {new} was created, because none matched"),
            remedy="correct the matching attribute of the account that should have matched, remove "
            "the new account, and ask again",
        )
    if not old:
        return LinkEvidence(
            verdict=LinkVerdict.UNKNOWN,
            after=new,
            evidence=_cut(f"{where}: linked to {new}; the link before the restart is not known"),
        )
    if new == old:
        return _still_linked(old, where, row, matching)
    return LinkEvidence(
        verdict=LinkVerdict.RELINKED,
        before=old,
        after=new,
        evidence=_cut(f"{where}: linked to {new}, before to {old}"),
    )


def _still_linked(
    old: str,
    where: str,
    row: ProvisioningEntry | None,
    matching: Sequence[MatchingAttribute],
) -> LinkEvidence:
    other = row.matched_target if row is not None else ""
    if other and other != old:
        # The row itself shows that no attribute leads to the old account.
        return LinkEvidence(
            verdict=LinkVerdict.STILL_LINKED,
            before=old,
            after=old,
            evidence=_cut(
                f"{where}: still linked to {old} by the stored link, which this restart did not "
                f"break; the matching attributes find {other}"
            ),
            remedy=f"restart the job in full: that breaks the stored link, and {other} is matched",
        )
    return LinkEvidence(
        verdict=LinkVerdict.STILL_LINKED,
        before=old,
        after=old,
        evidence=_cut(f"{where}: still linked to {old}{_explained(row, matching)}"),
        remedy=_remedy(old, _deciding(row, matching)),
    )


def _explained(row: ProvisioningEntry | None, matching: Sequence[MatchingAttribute]) -> str:
    step = _step_by_attributes(row)
    deciding = _deciding(row, matching)
    if deciding:
        causes = (f"{each.source_with_value} equals its {each.target}" for each in deciding)
        return f" because {', or '.join(causes)}"
    return f" ({step.description})" if step is not None and step.description else ""


def _deciding(
    row: ProvisioningEntry | None, matching: Sequence[MatchingAttribute]
) -> Sequence[MatchingAttribute]:
    """The attribute that the row's step names; else each of them may be the one that decided."""
    step = _step_by_attributes(row)
    words = set(re.findall(r"[\w.:-]+", step.description.casefold())) if step is not None else set()
    named = [each for each in matching if each.target.casefold() in words]
    # What has no value matches nobody.
    return named[:1] or [each for each in matching if each.value != ""] or matching


def _step_by_attributes(row: ProvisioningEntry | None) -> ProvisioningStep | None:
    names = {name.lower() for name in BY_ATTRIBUTES}
    steps = row.steps if row is not None else ()
    return next((step for step in steps if step.name.lower() in names), None)


def _remedy(old: str, matching: Sequence[MatchingAttribute]) -> str:
    if not matching:
        return (
            f"change the matching attribute of account {old} in the application first, then ask "
            "again; which attribute that is stands in the attribute mappings of the job"
        )
    names = " and ".join(dict.fromkeys(each.target for each in matching))
    return f"change {names} of account {old} in the application first, then ask again"


def _seen_without_target(row: ProvisioningEntry, old: str) -> LinkEvidence:
    said = ": ".join(part for part in (row.error_code, row.reason) if part)
    if row.status.lower() == "skipped":
        return LinkEvidence(
            verdict=LinkVerdict.NOT_SEEN,
            before=old,
            evidence=_cut(f"{_where(row)}: skipped{f' ({said})' if said else ''}"),
            remedy="check that the user is assigned to the application and passes the scoping "
            "filter",
        )
    return LinkEvidence(
        verdict=LinkVerdict.UNKNOWN,
        before=old,
        evidence=_cut(f"{_where(row)}: {row.status or 'no status'}{f' ({said})' if said else ''}"),
        remedy="correct what the provisioning log names; the job tries this user again",
    )


def _is_of(entry: ProvisioningEntry, user_id: str) -> bool:
    # An object id is nobody else's: a row that does not say of what kind it is counts by its id.
    kind = entry.is_user or not entry.source_type
    return kind and entry.source_id.lower() == user_id.lower()


def _moment(entry: ProvisioningEntry) -> tuple[bool, float, str]:
    at = entry.at
    return (at is not None, at.timestamp() if at is not None else 0.0, entry.stored_target)


def _where(entry: ProvisioningEntry) -> str:
    when = f" of {entry.at:%Y-%m-%d %H:%M} UTC" if entry.at is not None else ""
    return f"{entry.origin}{when}"


def _cut(text: str) -> str:
    return text[:MAX_EVIDENCE]


def in_words(link: Link) -> str:
    """Name the user, and what is known of the link before a restart."""
    return f"{link.subject}: {known_before(link)}"


def known_before(link: Link) -> str:
    """What is known of one user's link before a restart, and what to change first."""
    said = f"linked to {link.before} ({link.before_from})" if link.before else "link not known"
    matching = load_matching(link.matching)
    if matching:
        said += "; a new match is decided by " + ", then by ".join(map(str, matching))
    if link.before and matching and not link.evidence:
        said += f"; {change_first(link.before, matching)}"
    notes = [note for note in (link.evidence, link.problem) if note]
    return "; ".join([said, *notes])


def change_first(account: str, matching: Sequence[MatchingAttribute]) -> str:
    """What would lead a new match to the old account again; an attribute without a value cannot."""
    able = [each for each in matching if each.value != ""]
    names = " and ".join(dict.fromkeys(each.target for each in able))
    if not able:
        return "no attribute has a value, so that a new match finds no account"
    value = able[0].value if len(able) == 1 and able[0].value else "the user's value"
    return f"change {names} of account {account} first, if it still equals {value}"
