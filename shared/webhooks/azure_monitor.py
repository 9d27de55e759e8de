"""What an alert of Azure Monitor asks for, in its common schema. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from shared.domain.errors import InvalidRequest
from shared.webhooks.json_pointer import look_up
from shared.webhooks.parsed import AsksNothing, ParsedRequest, as_request

SCHEMA: Final = "azureMonitorCommonAlertSchema"

Reach = Mapping[str, tuple[str, str]]
"""Alias -> (service principal, job) of the targets of one sender; an empty job: the only one."""


def read_alert(event: dict[str, Any], *, system: str, reach: Reach) -> ParsedRequest | AsksNothing:
    """https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema."""
    if event.get("schemaId") != SCHEMA:
        raise InvalidRequest(
            f"schemaId: not {SCHEMA}; enable the common alert schema in the action group"
        )
    essentials = look_up(event, "/data/essentials")
    if not isinstance(essentials, dict):
        raise InvalidRequest("data.essentials: missing; send the alert as Azure Monitor does")
    condition = essentials.get("monitorCondition")
    if condition != "Fired":
        return AsksNothing(reason="only an alert that has fired asks for anything")
    sample = _SAMPLE in str(essentials.get("alertId", "")).lower()
    names = _alert_values(event)
    if sample and not _fitting(names, reach):
        return AsksNothing(reason="the sample of an action group's test: it works")
    alert = str(essentials.get("originAlertId") or essentials.get("alertId") or "")
    fired = str(essentials.get("firedDateTime") or "")
    rule, words = essentials.get("alertRule"), essentials.get("description")
    request = as_request(
        {
            "target": _alert_target(names, reach, classic=_is_classic(event)),
            "reason": ": ".join(str(part) for part in ("alert", rule, words) if part),
            "requestedBy": "Azure Monitor",
            "ticket": {"system": system, "id": alert.rpartition("/")[2]},
        }
    )
    return ParsedRequest(request=request, delivery=f"{alert}\n{fired}" if alert and fired else "")


_SAMPLE: Final = "/subscriptions/11111111-1111-1111-1111-111111111111/"
"""https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples."""

_ALERT_NAMES: Final = ("target", "serviceprincipalid", "jobid")


def _alert_values(event: dict[str, Any]) -> dict[str, str]:
    """
    Custom properties and dimensions, by lower-case name; search results are not in the alert.

    An alert whose rows name several jobs is refused: split the rule by these dimensions.
    """
    pairs: list[tuple[Any, Any]] = []
    for pointer in ("/data/customProperties", "/data/alertContext/properties"):
        found = look_up(event, pointer)
        pairs += list(found.items()) if isinstance(found, dict) else []
    conditions = look_up(event, "/data/alertContext/condition/allOf")
    for condition in conditions if isinstance(conditions, list) else []:
        pairs += _dimensions(condition.get("dimensions") if isinstance(condition, dict) else None)
    # Classic log alerts keep them beside the query.
    pairs += _dimensions(look_up(event, "/data/alertContext/Dimensions"))
    values: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower() if isinstance(name, str) else ""
        if key not in _ALERT_NAMES or not isinstance(value, str) or not value:
            continue
        if values.setdefault(key, value) != value:
            raise InvalidRequest(f"{name}: two values in one alert; split the rule by it")
    return values


def _is_classic(event: dict[str, Any]) -> bool:
    context = look_up(event, "/data/alertContext")
    return (
        isinstance(context, dict) and "condition" not in context and bool(_CLASSIC & set(context))
    )


_CLASSIC: Final = frozenset({"SearchQuery", "Dimensions", "AlertType", "SearchIntervalInMinutes"})
"""Properties of a classic log alert's context; those of a Log Alerts V2 rule stand elsewhere."""


def _dimensions(found: Any) -> list[tuple[Any, Any]]:
    entries = found if isinstance(found, list) else []
    return [(each.get("name"), each.get("value")) for each in entries if isinstance(each, dict)]


def _alert_target(values: Mapping[str, str], reach: Reach, *, classic: bool) -> str:
    if alias := values.get("target"):
        return alias
    if not values.get("serviceprincipalid"):
        remedy = (
            "this is a classic log alert: make the rule a Log Alerts V2 rule that is split by it"
            if classic
            else "give the rule a dimension or a custom property of that name"
        )
        raise InvalidRequest(f"data.alertContext: neither target nor ServicePrincipalId; {remedy}")
    fits = _fitting(values, reach)
    if len(fits) != 1:
        many = "several targets; give JobId too" if fits else "no target that this sender reaches"
        raise InvalidRequest(f"ServicePrincipalId: belongs to {many}")
    return fits[0]


def _fitting(values: Mapping[str, str], reach: Reach) -> list[str]:
    """Return the targets that an alert may mean by its names."""
    if alias := values.get("target"):
        return [alias] if alias in reach else []
    principal, job = values.get("serviceprincipalid", "").lower(), values.get("jobid", "").lower()
    return [
        alias
        for alias, (its_principal, its_job) in reach.items()
        if principal and its_principal == principal and (not job or its_job.lower() in {job, ""})
    ]
