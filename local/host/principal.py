"""Plays the platform's sign-in: makes its header of who LOCAL_PRINCIPAL says is signed in."""

import base64
import json
import uuid
from typing import Any, Final

from local.host.errors import StartError

HEADER: Final = "x-ms-client-principal"
ROLES: Final = ("Resets.Read", "Resets.Request", "Resets.Approve")
_CLAIMS: Final = "http://schemas.microsoft.com/identity/claims"
_TENANT: Final = uuid.UUID("11111111-0000-4000-8000-000000000000")
"""The tenant of everybody who is played here; each name has an object id of its own."""

_KNOWN: Final = {"name": str, "objectId": str, "tenantId": str, "roles": list, "program": bool}


def principal_headers(setting: str) -> dict[str, str]:
    """
    Return what the platform would put into a request; nothing where nobody is played.

    *setting* is a name, who then holds every role, or JSON:
    `{"name": "ann@contoso.com", "objectId": "…", "tenantId": "…", "roles": ["Resets.Read"],
    "program": false}`; of that all but the name may be left out. Raise StartError.
    """
    if not setting:
        return {}
    played = _read(setting)
    name = played["name"]
    claims = [
        {"typ": f"{_CLAIMS}/objectidentifier", "val": played.get("objectId", _object_id(name))},
        {"typ": f"{_CLAIMS}/tenantid", "val": played.get("tenantId", str(_TENANT))},
        {"typ": "name", "val": name},
    ]
    if played.get("program"):
        claims.append({"typ": "idtyp", "val": "app"})
    else:
        claims.append({"typ": "preferred_username", "val": name})
    claims += [{"typ": "roles", "val": role} for role in played.get("roles", ROLES)]
    principal = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    encoded = base64.b64encode(json.dumps(principal).encode()).decode()
    return {HEADER: encoded, f"{HEADER}-name": name}


def _object_id(name: str) -> str:
    return str(uuid.uuid5(_TENANT, name))


def _read(setting: str) -> dict[str, Any]:
    if not setting.lstrip().startswith("{"):
        return {"name": setting}
    try:
        found = json.loads(setting)
    except ValueError as error:
        raise StartError(f"LOCAL_PRINCIPAL: is not JSON ({error}); correct it") from error
    for name, value in found.items():
        if name not in _KNOWN:
            raise StartError(f"LOCAL_PRINCIPAL: {name!r} is unknown; use {', '.join(_KNOWN)}")
        if not isinstance(value, _KNOWN[name]):
            raise StartError(f"LOCAL_PRINCIPAL: {name} must be a {_KNOWN[name].__name__}")
    if not found.get("name"):
        raise StartError('LOCAL_PRINCIPAL: name is missing; give {"name": "ann@contoso.com"}')
    for role in found.get("roles", ()):
        if role not in ROLES:
            raise StartError(f"LOCAL_PRINCIPAL: {role!r} is not a role; use {', '.join(ROLES)}")
    return dict(found)
