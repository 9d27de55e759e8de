"""Finds or creates the account of a source user in the target system."""

import hashlib
from typing import Literal

from msgspec import Struct, to_builtins

from local.emulator.values import Account, Job, ServicePrincipal, User


class Unprovisionable(Exception):
    """This entry fails; it is escrowed and tried again in the next cycle."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Entry(Struct, frozen=True):
    target: str
    found: Literal["linked", "matched", "created"]


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
            return Entry(anchor, "linked")
        if (account := self._match(user, job)) is not None:
            return Entry(account.id, "matched")
        return Entry(self._create(user, job).id, "created")

    def _match(self, user: User, job: Job) -> Account | None:
        values = to_builtins(user)
        for pair in job.matching:
            value = values[pair.source]
            found = self._having(pair.target).get(value, []) if value else []
            if sum(account.active for account in found) > 1:
                raise Unprovisionable("DuplicateTargetEntries")
            if found:
                return found[0]
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
