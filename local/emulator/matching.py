"""Finds or creates the account of a source user in the target system."""

import hashlib
from datetime import datetime
from typing import Literal

from msgspec import Struct, to_builtins

from local.emulator.values import Account, Event, Job, ServicePrincipal, State, User


class Unprovisionable(Exception):
    """This entry fails; it is escrowed and tried again in the next cycle."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Entry(Struct, frozen=True):
    target: str
    found: Literal["linked", "matched", "created"]
    #: The matching attribute that found an account, and of a linked user the other account.
    attribute: str = ""
    by_attributes: str = ""


class Accounts:
    """The accounts of one application, indexed while time advances."""

    def __init__(self, sp: ServicePrincipal) -> None:
        self._sp = sp
        self._index: dict[str, dict[str, list[Account]]] = {}
        self._ids: set[str] | None = None

    def provision(self, user: User, job: Job) -> Entry:
        if user.fails:
            raise Unprovisionable("InvalidProperty")
        if (anchor := job.links.get(user.id)) is not None:
            # The link wins over every attribute, and over the account being inactive.
            if anchor not in self._known_ids():
                raise Unprovisionable("InvalidAnchor")
            return self._linked(user, job, anchor)
        if (match := self._match(user, job)) is not None:
            account, attribute = match
            return Entry(account.id, "matched", attribute)
        return Entry(self._create(user, job).id, "created")

    def _linked(self, user: User, job: Job, anchor: str) -> Entry:
        """The attributes are looked at too: the log shows when they would find another account."""
        try:
            match = self._match(user, job)
        except Unprovisionable:
            match = None
        if match is None or match[0].id == anchor:
            return Entry(anchor, "linked")
        account, attribute = match
        return Entry(anchor, "linked", attribute, account.id)

    def _match(self, user: User, job: Job) -> tuple[Account, str] | None:
        values = to_builtins(user)
        for pair in job.matching:
            value = values[pair.source]
            found = self._having(pair.target).get(value, []) if value else []
            if sum(account.active for account in found) > 1:
                raise Unprovisionable("DuplicateTargetEntries")
            if found:
                return found[0], pair.target
        return None

    def _create(self, user: User, job: Job) -> Account:
        values = to_builtins(user)
        attributes = {pair.target: values[pair.source] for pair in job.matching}
        filled = {name: value for name, value in attributes.items() if value}
        account = Account(id=self._new_id(user), attributes=filled)
        self._sp.target_accounts.append(account)
        self._known_ids().add(account.id)
        for name, value in filled.items():
            if name in self._index:
                self._index[name].setdefault(value, []).append(account)
        return account

    def _having(self, attribute: str) -> dict[str, list[Account]]:
        if attribute not in self._index:
            index: dict[str, list[Account]] = {}
            for account in self._sp.target_accounts:
                if value := account.attributes.get(attribute):
                    index.setdefault(value, []).append(account)
            self._index[attribute] = index
        return self._index[attribute]

    def _known_ids(self) -> set[str]:
        if self._ids is None:
            self._ids = {account.id for account in self._sp.target_accounts}
        return self._ids

    def _new_id(self, user: User) -> str:
        """Look like the ids that are there: their first three characters and their length."""
        accounts = self._sp.target_accounts
        model = accounts[0].id if accounts else "0" * 32
        seed = f"{self._sp.id}/{user.id}/{len(accounts)}"
        digest = hashlib.sha256(seed.encode()).hexdigest()
        return (model[:3] + digest)[: len(model)] if len(model) > 8 else digest[:32]


def evaluate(user: User, job: Job, accounts: Accounts) -> dict[str, str]:
    """Provision *user*, keep the link or the failure, and return what the log tells of it."""
    try:
        entry = accounts.provision(user, job)
    except Unprovisionable as error:
        job.escrows[user.id] = error.code
        return {"user": user.id, "target": job.links.get(user.id, ""), "error": error.code}
    job.escrows.pop(user.id, None)
    job.links[user.id] = entry.target
    detail = {"user": user.id, "target": entry.target, "found": entry.found}
    if entry.attribute:
        detail["attribute"] = entry.attribute
    if entry.by_attributes:
        detail["attributes"] = entry.by_attributes
    return detail


def remembered(state: State, sp: ServicePrincipal, job: Job, *, at: datetime) -> list[Event]:
    """Build the events of a cycle at *at* that looked at every link and changed none."""
    accounts, cycle = Accounts(sp), {"cycle": at.isoformat()}
    return [
        Event(at, "EntryEvaluated", sp.id, job.id, evaluate(user, job, accounts) | cycle)
        for user in state.users
        if user.id in job.links and not user.fails
    ]
