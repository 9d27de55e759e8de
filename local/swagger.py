"""
Build the Swagger 2.0 document for custom connectors (Power Automate, Logic Apps, Copilot Studio).

They take OpenAPI 2.0 alone, so this is made from the OpenAPI document: the operations that a flow
calls, with the names that its designer shows.
https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions
"""

import json
from typing import Any, Final

from shared.web.messages import JSON, PROBLEM
from shared.web.openapi import openapi_document

type Part = dict[str, Any]

OPERATIONS: Final = ("submitReset", "listResets", "getReset", "decideReset")
_METHODS: Final = ("get", "post")
_LICENSE: Final = {"name": "MIT", "url": "https://opensource.org/license/mit"}
_REF: Final = "#/components/schemas/"
_KEPT: Final = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "enum",
        "default",
        "required",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "pattern",
    }
)


def swagger_text() -> str:
    """Return the document as it is published."""
    return json.dumps(swagger_document(), indent=2, ensure_ascii=False) + "\n"


def swagger_document() -> Part:
    whole = openapi_document()
    paths: Part = {}
    for path, item in whole["paths"].items():
        for method in _METHODS:
            operation = item.get(method)
            if operation and operation["operationId"] in OPERATIONS:
                found = _operation(operation, item.get("parameters", []))
                paths.setdefault(path, {})[method] = found
    definitions = {name: _schema(part) for name, part in whole["components"]["schemas"].items()}
    return {
        "swagger": "2.0",
        "info": {**whole["info"], "license": _LICENSE},
        # The wizard that imports it asks for the real one.
        "host": "APP.azurewebsites.net",
        "basePath": "/",
        "schemes": ["https"],
        "consumes": [JSON],
        "produces": [JSON, PROBLEM],
        "securityDefinitions": {
            "functionKey": {
                "type": "apiKey",
                "in": "header",
                "name": "x-functions-key",
                "description": "A function key of the Functions app.",
            }
        },
        "security": [{"functionKey": []}],
        "tags": [tag for tag in whole["tags"] if tag["name"] == "resets"],
        "paths": paths,
        "definitions": _used(paths, definitions),
    }


def _operation(operation: Part, shared: list[Part]) -> Part:
    parameters = [_parameter(each) for each in [*shared, *operation.get("parameters", [])]]
    if "requestBody" in operation:
        schema = _schema(operation["requestBody"]["content"][JSON]["schema"])
        parameters.append({"name": "body", "in": "body", "required": True, "schema": schema})
    found = {
        "operationId": operation["operationId"],
        "tags": operation["tags"],
        "summary": operation["summary"],
        "description": operation["description"],
        "parameters": parameters,
        "responses": {code: _response(each) for code, each in operation["responses"].items()},
    }
    if operation["operationId"] == "listResets":
        found["x-ms-pageable"] = {"nextLinkName": "nextLink"}
    return found


def _parameter(parameter: Part) -> Part:
    name = parameter["name"]
    found = {
        "name": name,
        "in": parameter["in"],
        "required": parameter.get("required", False),
        "description": parameter["description"],
        "x-ms-summary": _words(name),
        **_schema(parameter["schema"]),
    }
    if parameter["in"] == "path":
        found["x-ms-url-encoding"] = "single"
    return found


def _response(response: Part) -> Part:
    found: Part = {"description": response["description"]}
    content = response.get("content", {})
    for kind in (JSON, PROBLEM):
        if kind in content:
            found["schema"] = _schema(content[kind]["schema"])
    if "headers" in response:
        found["headers"] = {
            name: {"description": header["description"], **_schema(header["schema"])}
            for name, header in response["headers"].items()
        }
    return found


def _schema(schema: Part) -> Part:
    """Say in the words of 2.0 what a schema of 3.1 says; what 2.0 cannot say is left out."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(_REF, "#/definitions/")}
    if options := schema.get("anyOf"):
        return _either(schema, options)
    found = {name: value for name, value in schema.items() if name in _KEPT}
    if isinstance(found.get("type"), list):
        (found["type"],) = [each for each in found["type"] if each != "null"]
        found["x-nullable"] = True
    if "const" in schema:
        found["enum"] = [schema["const"]]
    if "enum" in found:
        found.setdefault("type", "string")
    if "items" in schema:
        found["items"] = _schema(schema["items"])
    if "properties" in schema:
        found["properties"] = {
            name: _property(name, part) for name, part in schema["properties"].items()
        }
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _schema(schema["additionalProperties"])
    return found


def _either(schema: Part, options: list[Part]) -> Part:
    """Something or null; a choice of types is not known to 2.0."""
    (one,) = [each for each in options if each.get("type") != "null"]
    found = {**_schema(one), "x-nullable": True}
    if "description" in schema and "$ref" not in found:
        found["description"] = schema["description"]
    if "$ref" in found:
        # Nothing counts beside a reference.
        return {"allOf": [{"$ref": found["$ref"]}], "x-nullable": True}
    return found


def _property(name: str, part: Part) -> Part:
    found = _schema(part)
    return found if "$ref" in found else {**found, "x-ms-summary": _words(name)}


def _words(name: str) -> str:
    """`requestedBy` is shown as `Requested by`."""
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return (spaced[:1].upper() + spaced[1:]).replace("-", " ").replace("  ", " ").strip()


def _used(paths: Part, definitions: dict[str, Part]) -> dict[str, Part]:
    """The definitions that the paths lead to."""
    wanted, found = _names(paths), dict[str, Part]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = definitions[name]
            wanted |= _names(definitions[name])
    return dict(sorted(found.items()))


def _names(part: object) -> set[str]:
    match part:
        case {"$ref": str(ref)}:
            return {ref.removeprefix("#/definitions/")}
        case dict():
            return set().union(*map(_names, part.values()))
        case list():
            return set().union(*map(_names, part))
        case _:
            return set()
