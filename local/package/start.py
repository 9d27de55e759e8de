"""What starting imports: the worker and the app, what those import, and so on."""

from collections.abc import Iterable, Iterator

from local.package.reach import Library
from local.package.sources import Import

ROOTS = (
    "azure_functions_runtime",
    "function_app",
    "azure.identity.aio",
    "shared.adapters.queues",
    "azure.storage.queue.aio",
    "shared.adapters.graph.gateway",
)
"""
What a process runs: the worker, the app, the identity that it is built with, the queues, which
are imported with the first request or message, and the Graph gateway, with the first reset.
"""

TELEMETRY_ROOT = "azure.monitor.opentelemetry"
"""What the worker imports beside, where it exports by OpenTelemetry."""


def imported_at_start(library: Library, roots: Iterable[str] = ROOTS) -> frozenset[str]:
    """The modules in *library* that importing *roots* imports; functions are not looked into."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        steps = waiting.pop().split(".")
        for depth in range(1, len(steps) + 1):
            module = ".".join(steps[:depth])
            if module in library and module not in found:
                found.add(module)
                for imported in library.source(module).imports:
                    waiting += [imported.module, f"{imported.module}.{imported.name}"]
                    waiting += _on_demand(library, imported)
    return frozenset(found)


def _on_demand(library: Library, imported: Import) -> Iterator[str]:
    """What a module's own `__getattr__` imports for a name that it is asked for (PEP 562)."""
    if imported.module in library:
        for function in library.source(imported.module).functions:
            if (function.owner, function.name) == ("", "__getattr__"):
                yield from (i.module for i in function.imports if i.bound == imported.name)
