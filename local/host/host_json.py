"""Reads the part of host.json that this host obeys, and checks it as the real host does."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.host.errors import StartError
from local.host.settings import read_json
from local.host.timespan import parse_timespan

OVERRIDE = "AzureFunctionsJobHost__"
_QUEUES = ("extensions", "queues")


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueOptions:
    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta()
    max_polling_interval: timedelta = timedelta(minutes=1)
    base64: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class HostOptions:
    """A function_timeout of None is unbounded, which host.json writes as -1."""

    queues: QueueOptions
    function_timeout: timedelta | None
    route_prefix: str


def load_host_json(
    app_dir: Path, environ: Mapping[str, str], *, processors: int | None = None
) -> HostOptions:
    """Read host.json and the settings that override it, or raise StartError with one line."""
    path = app_dir / "host.json"
    content = _lower(read_json(path))
    for name, value in environ.items():
        if name.lower().startswith(OVERRIDE.lower()):
            _put(content, name[len(OVERRIDE) :].lower().split("__"), value)
    values = _Values(path, content)
    if content.get("version") != "2.0":
        raise StartError(f'{path}: version is {content.get("version")!r}; it must be "2.0"')
    return HostOptions(
        queues=_queue_options(values, environ, processors or os.cpu_count() or 1),
        function_timeout=_function_timeout(values),
        route_prefix=str(values.get("extensions", "http", "routePrefix", default="api")).strip("/"),
    )


def _queue_options(values: "_Values", environ: Mapping[str, str], processors: int) -> QueueOptions:
    batch_size = values.integer(*_QUEUES, "batchSize", default=16, low=1, high=32)
    development = environ.get("AZURE_FUNCTIONS_ENVIRONMENT", "").lower() == "development"
    polling = values.span(*_QUEUES, "maxPollingInterval", default=timedelta(minutes=1))
    if polling < timedelta(milliseconds=100):
        raise values.error(*_QUEUES, "maxPollingInterval", remedy="give 00:00:00.1000000 or more")
    if development and values.get(*_QUEUES, "maxPollingInterval") is None:
        polling = timedelta(seconds=2)
    visibility = values.span(*_QUEUES, "visibilityTimeout", default=timedelta())
    if not timedelta() <= visibility <= timedelta(days=7):
        raise values.error(*_QUEUES, "visibilityTimeout", remedy="give 00:00:00 to 7.00:00:00")
    encoding = str(values.get(*_QUEUES, "messageEncoding", default="base64")).lower()
    if encoding not in {"base64", "none"}:
        raise values.error(*_QUEUES, "messageEncoding", remedy="give base64 or none")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=values.integer(
            *_QUEUES, "newBatchThreshold", default=batch_size // 2 * processors, low=0
        ),
        max_dequeue_count=values.integer(*_QUEUES, "maxDequeueCount", default=5, low=1),
        visibility_timeout=visibility,
        max_polling_interval=polling,
        base64=encoding == "base64",
    )


def _function_timeout(values: "_Values") -> timedelta | None:
    if str(values.get("functionTimeout")) == "-1":
        return None
    found = values.span("functionTimeout", default=timedelta(minutes=30))
    if found < timedelta(seconds=1):
        raise values.error("functionTimeout", remedy="give 00:00:01 or more, or -1 for no limit")
    return found


class _Values:
    """Look-ups by path that fail with the key's name."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._content = content

    def get(self, *keys: str, default: Any = None) -> Any:
        found: Any = self._content
        for key in keys:
            if not isinstance(found, dict) or found.get(key.lower()) is None:
                return default
            found = found[key.lower()]
        return found

    def integer(self, *keys: str, default: int, low: int, high: int = 2**31 - 1) -> int:
        value = self.get(*keys, default=default)
        bounds = f"{low} to {high}" if high < 2**31 - 1 else f"{low} or more"
        try:
            found = int(value) if isinstance(value, int | str) else None
        except ValueError:
            found = None
        if found is None or isinstance(value, bool) or not low <= found <= high:
            raise self.error(*keys, remedy=f"give a whole number, {bounds}")
        return found

    def span(self, *keys: str, default: timedelta) -> timedelta:
        value = self.get(*keys)
        if value is None:
            return default
        try:
            return parse_timespan(str(value))
        except (ValueError, OverflowError) as error:
            raise self.error(*keys, remedy="give hh:mm:ss") from error

    def error(self, *keys: str, remedy: str) -> StartError:
        return StartError(f"{self._path}: {'.'.join(keys)} is {self.get(*keys)!r}; {remedy}")


def _lower(value: Any) -> Any:
    # .NET's configuration does not tell capital letters from small ones.
    if isinstance(value, dict):
        return {key.lower(): _lower(inner) for key, inner in value.items()}
    return value


def _put(content: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        inner = content.get(key)
        if not isinstance(inner, dict):
            inner = content[key] = {}
        content = inner
    content[keys[-1]] = value
