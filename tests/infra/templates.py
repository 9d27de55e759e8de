"""What would be deployed, as committed in infra/compiled; held to its sources by another test."""

import json
from collections.abc import Iterator
from typing import Any

from local.bicep import compiled_file, snapshot_file

MAIN_SCENARIOS = ("default", "everything", "existing")


class Deployment:
    """The resources of one scenario."""

    def __init__(self, scenario: str, predicted: dict[str, Any] | None = None) -> None:
        self.scenario = scenario
        found = predicted or json.loads(snapshot_file(scenario).read_text(encoding="utf-8"))
        self.text = json.dumps(found)
        self.resources: list[dict[str, Any]] = found["predictedResources"]
        self.outputs: dict[str, Any] = found["outputs"]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [r for r in self.resources if r["type"].lower() == kind.lower()]

    def only(self, kind: str) -> dict[str, Any]:
        (found,) = self.of_type(kind)
        return found

    def names(self, kind: str) -> set[str]:
        """Last parts of the names of this type."""
        return {r["name"].rsplit("/", 1)[-1] for r in self.of_type(kind)}

    @property
    def settings(self) -> dict[str, str]:
        (found,) = [
            r
            for r in self.of_type("Microsoft.Web/sites/config")
            if r["name"].endswith("/appsettings")
        ]
        properties: dict[str, str] = found["properties"]
        return properties


def template(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compiled_file(name).read_text(encoding="utf-8"))
    return found


def resources_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources of one template, which lists them or, in the newer form, names them."""
    resources = found["resources"]
    return list(resources.values()) if isinstance(resources, dict) else resources


def templates_within(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A template and every one nested in it."""
    yield found
    for resource in resources_of(found):
        if resource["type"] == "Microsoft.Resources/deployments":
            yield from templates_within(resource["properties"]["template"])


def without_generator(value: Any) -> Any:
    """What the compiler says of itself left out: a newer one makes the same template."""
    if isinstance(value, dict):
        return {k: without_generator(v) for k, v in value.items() if k != "_generator"}
    if isinstance(value, list):
        return [without_generator(item) for item in value]
    return value
