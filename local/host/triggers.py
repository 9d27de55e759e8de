"""Builds listeners, timers and routes from the functions that the worker indexed."""

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.storage.blob.aio import BlobServiceClient

from local.host.backoff import Backoff
from local.host.binding_data import queue_data, queue_metadata
from local.host.connections import HOST_STORAGE, Connection, find_connection, queue_client
from local.host.errors import IndexingError
from local.host.host_json import HostOptions
from local.host.listener import QueueListener, Queues, poison_name
from local.host.queue_store import QueueStore
from local.host.queue_wire import Message
from local.host.routes import Route, make_route
from local.host.schedule_status import BlobStatusStore, MemoryStatusStore, StatusStore
from local.host.schedules import parse_schedule
from local.host.settings import expand
from local.host.timers import TimerListener
from local.host.wire import TypedData
from local.host.worker import Function, Worker


@dataclass(slots=True)
class Plan:
    """All that can run, built but not started, and a line on each for the person who starts it."""

    listeners: list[QueueListener] = field(default_factory=list)
    timers: list[TimerListener] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    queues: list[tuple[Connection, str]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def background(self) -> tuple[QueueListener | TimerListener, ...]:
        return (*self.listeners, *self.timers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planner:
    """Builds what one app needs; clients it opens are closed by *closing*."""

    worker: Worker
    options: HostOptions
    environ: Mapping[str, str]
    app_dir: Path
    lease_seconds: int
    closing: AsyncExitStack

    def plan(self, functions: Iterable[Function]) -> Plan:
        plan = Plan()
        for function in functions:
            if self.environ.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() == "true":
                plan.lines.append((function.name, "disabled"))
                continue
            trigger = function.trigger
            match trigger["type"]:
                case "queueTrigger":
                    self._add_queue(plan, function, trigger)
                case "timerTrigger":
                    self._add_timer(plan, function, trigger)
                case "httpTrigger":
                    self._add_route(plan, function, trigger)
                case other:
                    plan.warnings.append(f"{function.name}: this host does not run a {other}")
            plan.warnings += [
                f"{function.name}: this host does not write the output binding {binding['name']}"
                for binding in function.bindings
                if str(binding["direction"]).upper() == "OUT" and binding["type"] != "http"
            ]
        return plan

    def _add_queue(self, plan: Plan, function: Function, trigger: Mapping[str, Any]) -> None:
        connection = find_connection(
            self._text(trigger.get("connection")), self.environ, wanted_by=function.name
        )
        name = self._text(trigger["queueName"]).lower()
        poison = poison_name(name)
        binary = str(trigger.get("dataType", "")).upper() == "BINARY"

        async def invoke(message: Message, body: bytes) -> bool:
            answer = await self.worker.invoke(
                function, queue_data(body, binary=binary), queue_metadata(message, body)
            )
            return answer is not None

        queues = Queues(
            work=self._open(connection, name),
            poison=None if poison is None else self._open(connection, poison),
        )
        longest = self.options.queues.max_polling_interval.total_seconds()
        plan.listeners.append(
            QueueListener(
                queues,
                self.options.queues,
                invoke,
                backoff=Backoff(longest, random.uniform),
                lease_seconds=self.lease_seconds,
                binary=binary,
            )
        )
        plan.queues.append((connection, name))
        plan.lines.append((function.name, f"queue {name}"))

    def _add_timer(self, plan: Plan, function: Function, trigger: Mapping[str, Any]) -> None:
        expression = self._text(trigger["schedule"])
        try:
            schedule = parse_schedule(expression)
        except ValueError as error:
            raise IndexingError(f"Error indexing method '{function.name}': {error}") from error
        monitored = trigger.get("useMonitor") is not False and schedule.may_be_monitored
        store = self._status_store(plan) if monitored else None

        async def run(info: dict[str, Any]) -> None:
            await self.worker.invoke(function, TypedData(json=json.dumps(info)))

        plan.timers.append(
            TimerListener(
                function.name,
                schedule,
                run,
                store=store,
                run_on_startup=bool(trigger.get("runOnStartup")),
            )
        )
        plan.lines.append((function.name, f"timer {expression}"))

    def _add_route(self, plan: Plan, function: Function, trigger: Mapping[str, Any]) -> None:
        template = self._text(trigger.get("route")) or function.name
        methods = [str(method) for method in trigger.get("methods") or ()]
        route = make_route(function, template, self.options.route_prefix, methods)
        plan.routes.append(route)
        shown = ",".join(route.methods) if methods else "*"
        plan.lines.append((function.name, f"{shown} /{route.template}"))

    def _open(self, connection: Connection, queue: str) -> QueueStore:
        store = QueueStore(queue_client(connection, queue))
        self.closing.push_async_callback(store.aclose)
        return store

    def _status_store(self, plan: Plan) -> StatusStore:
        if not self.environ.get(HOST_STORAGE, "").strip():
            plan.warnings.append(
                f"{HOST_STORAGE} is not a connection string: timers forget when they last ran"
            )
            return MemoryStatusStore()
        connection = find_connection(HOST_STORAGE, self.environ, wanted_by="a timer")
        # Two apps on one storage account must not take each other's timers for their own.
        host_id = self.environ.get("AzureFunctionsWebHost__hostid") or (
            f"local-{hashlib.sha256(str(self.app_dir).encode()).hexdigest()[:16]}"
        )
        store = BlobStatusStore(
            BlobServiceClient.from_connection_string(connection.connection_string), host_id=host_id
        )
        self.closing.push_async_callback(store.aclose)
        return store

    def _text(self, value: object) -> str:
        return expand(str(value or ""), self.environ)
