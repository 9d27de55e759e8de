"""
Write the bill of materials of a package as CycloneDX 1.6.

The components are the locked wheels, each with its hash, licence and address; the same package
gives the same document. https://cyclonedx.org/docs/1.6/json/
"""

import json
import tomllib
import uuid
from collections.abc import Mapping
from email.parser import HeaderParser
from typing import Any, Final

from local.package.build import ROOT, SITE
from local.package.lock import LOCK, Locked, normalized, read

# A namespace of our own, so that the serial number follows from the components.
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/relink")


def document(files: Mapping[str, bytes]) -> str:
    """Return the bill of the package whose *files* these are, as JSON."""
    metadata = _metadata(files)
    locked = read((ROOT / LOCK).read_text(encoding="utf-8"))
    components = [_component(wheel, metadata.get(wheel.name, {})) for wheel in locked]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    app = {
        "type": "application",
        "bom-ref": project["name"],
        "name": project["name"],
        "version": project["version"],
        "description": project["description"],
        "licenses": [{"license": {"id": "MIT"}}],
    }
    body = {
        "metadata": {"component": app},
        "components": components,
        "dependencies": _dependencies(project["name"], locked, metadata),
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(body, sort_keys=True))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **body,
    }
    return json.dumps(bill, indent=2) + "\n"


def _metadata(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """What each distribution says of itself, by normalized name."""
    found = {}
    for path, text in files.items():
        if path.startswith(SITE) and path.endswith(".dist-info/METADATA"):
            headers = HeaderParser().parsestr(text.decode("utf-8", "replace"))
            found[normalized(headers["Name"])] = {
                "summary": headers["Summary"],
                "licence": headers["License-Expression"] or headers["License"],
                "needs": headers.get_all("Requires-Dist") or [],
            }
    return found


def _reference(wheel: Locked) -> str:
    return f"pkg:pypi/{wheel.name}@{wheel.version}"


def _component(wheel: Locked, said: Mapping[str, Any]) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(wheel),
        "name": wheel.name,
        "version": wheel.version,
        "purl": _reference(wheel),
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }
    if said.get("summary"):
        component["description"] = said["summary"]
    if said.get("licence"):
        # Its own words, in the first line: not every distribution gives an SPDX expression.
        component["licenses"] = [{"license": {"name": said["licence"].splitlines()[0][:200]}}]
    return component


def _dependencies(
    app: str, locked: tuple[Locked, ...], metadata: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    by_name = {wheel.name: _reference(wheel) for wheel in locked}
    listed = [{"ref": app, "dependsOn": sorted(by_name.values())}]
    for wheel in locked:
        needs = {_name(text) for text in metadata.get(wheel.name, {}).get("needs", [])}
        depends = sorted(by_name[name] for name in needs if name in by_name)
        listed.append({"ref": _reference(wheel), "dependsOn": depends})
    return listed


def _name(requirement: str) -> str:
    """Return the name at the front of a requirement such as `msal[broker]>=1,<2; extra == "x"`."""
    end = next((i for i, c in enumerate(requirement) if c in " [<>=!~;("), len(requirement))
    return normalized(requirement[:end])
