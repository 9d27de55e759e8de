"""Writes the steps of an evaluated entry, as the provisioning log and on demand tell them."""

from typing import NamedTuple

from local.emulator.odd_jobs import Row
from local.emulator.values import Event, User

SOURCE = "Microsoft Entra ID"


class Told(NamedTuple):
    """What the log says of an entry."""

    action: str
    status: str
    steps: list[Row]


def told(event: Event, user: User | None, system: str) -> Told:
    """Tell what happened to the user of *event* in the application called *system*."""
    who = _Who(event, user, system)
    if event.name == "EntryHeld":
        words = f"{who} will not be deleted: the threshold for deletions is exceeded"
        return Told(
            "stagedDelete", "skipped", [who.received(), step("EntryExportDelete", "export", words)]
        )
    if event.name == "EntryDisabled":
        words = f"{who} was disabled in {system}"
        return Told(
            "disable", "success", [who.received(), step("EntryExportUpdate", "export", words)]
        )
    if "error" in event.detail:
        return who.failed()
    if event.detail.get("found") == "created":
        return who.created()
    return who.skipped()


def step(name: str, kind: str, description: str, *, status: str = "success", **details: str) -> Row:
    return {
        "name": name,
        "provisioningStepType": kind,
        "status": status,
        "description": description,
        "details": details,
    }


class _Who:
    """The user of an event, and the sentences about them."""

    def __init__(self, event: Event, user: User | None, system: str) -> None:
        self._detail, self._user, self._system = event.detail, user, system
        self._name = (user.display_name or user.user_principal_name) if user else ""

    def __str__(self) -> str:
        return f"User '{self._name}'"

    def received(self) -> Row:
        known = self._detail.get("found") == "linked"
        kind = "Update" if known else "Add"
        words = f"Received {self} change of type ({kind}) from {SOURCE}"
        details = {"objectId": self._detail["user"], "displayName": self._name}
        if self._user is not None:
            details["userPrincipalName"] = self._user.user_principal_name
        return step(f"EntryImport{kind}", "import", words, **details)

    def failed(self) -> Told:
        target = self._detail["target"]
        action, name = ("update", "EntryExportUpdate") if target else ("create", "EntryExportAdd")
        words = f"Failed to {action} {self} in {self._system}"
        return Told(
            action,
            "failure",
            [self.received(), step(name, "export", words, status="failure")],
        )

    def created(self) -> Told:
        nobody = f"{self} will be created in {self._system} (no matching User was found)"
        made = f"{self} was created in {self._system}"
        return Told(
            "create",
            "success",
            [
                self.received(),
                step("EntrySynchronizationAdd", "matching", nobody),
                self._scoping(),
                step("EntryExportAdd", "export", made, id=self._detail["target"]),
            ],
        )

    def skipped(self) -> Told:
        same = (
            "The state of the entry in both the source and target systems already match. "
            f"No change to the {self} currently needs to be made."
        )
        last = step(
            "EntrySynchronizationSkip",
            "export",
            same,
            status="skipped",
            SkipReason="RedundantExport",
            ReportableIdentifier=self._detail["user"],
        )
        return Told("other", "skipped", [self.received(), *self._found(), self._scoping(), last])

    def _found(self) -> list[Row]:
        """
        The account of the stored link, and the one that the attributes find.

        A public row of an already linked user has both, with two ids; the names of the steps are
        not documented.
        """
        target, other = self._detail["target"], self._detail.get("attributes", "")
        if self._detail.get("found") != "linked":
            return [self._by_attributes("EntryImportByMatchingProperty", target)]
        stored = step(
            "EntryImport", "matching", f"Retrieved  '{self._name}' from {self._system}", id=target
        )
        return (
            [self._by_attributes("EntryImportByJoiningProperty", other), stored]
            if other
            else [stored]
        )

    def _by_attributes(self, name: str, target: str) -> Row:
        words = (
            f"A target entry '{target}' has been matched with the source entry "
            f"by matching attribute name: {self._detail.get('attribute', '')}"
        )
        return step(name, "matching", words, id=target)

    def _scoping(self) -> Row:
        return step(
            "EntrySynchronizationScoping",
            "scoping",
            "Determine if User in scope by evaluating against each scoping filter",
            **{
                "Active in the source system": "True",
                "Assigned to the application": "True",
                "User has the required role": "True",
                "ScopeEvaluationResult": "{}",
                "Scoping filter evaluation passed": "True",
            },
        )
