"""Serves the app's HTTP functions as a WSGI application, with the host's part in this process."""

import json
import runpy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import azure.functions as func

from local.host.routes import Route, RouteTable, make_route
from local.host.worker import Function
from local.processes import ROOT

KEY: Final = "local"

type WsgiApp = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


def wsgi_app(call: Callable[[str, func.HttpRequest], func.HttpResponse], **always: str) -> WsgiApp:
    """
    Answer as the development host does: find the route, check the key, call the function.

    The headers *always* are the platform's: what a caller sends under their names is dropped.
    """
    table = RouteTable(_routes())

    def answer(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], urlsplit(environ["REQUEST_URI"]).path
        found = table.find(method, path)
        if found is None:
            allowed = ", ".join(sorted(table.methods_at(path)))
            start("405 -" if allowed else "404 -", [("Allow", allowed)] if allowed else [])
            return [b""]
        route, values = found
        request = _request(environ, method, path, values, always)
        level = str(route.function.trigger["authLevel"]).upper()
        given = request.headers.get("x-functions-key") or request.params.get("code")
        if level != "ANONYMOUS" and given != KEY:
            start("401 -", [])
            return [b""]
        reply = call(route.function.name, request)
        told = [*reply.headers.items(), ("Content-Type", f"{reply.mimetype}; charset=utf-8")]
        start(f"{reply.status_code} -", told)
        return [b"" if method == "HEAD" else reply.get_body()]

    return answer


def _request(
    environ: dict[str, Any],
    method: str,
    path: str,
    values: dict[str, str],
    always: Mapping[str, str],
) -> func.HttpRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
    }
    query = parse_qs(environ["QUERY_STRING"], errors="surrogateescape")
    return func.HttpRequest(
        method=method,
        url=f"http://localhost{path}",
        headers=headers | {name.replace("_", "-"): value for name, value in always.items()},
        params={name: ",".join(given) for name, given in query.items()},
        route_params=values,
        body=environ["wsgi.input"].read(),
    )


def _routes() -> Iterable[Route]:
    # A copy of its own: an app can be indexed once.
    app = runpy.run_path(str(ROOT / "function_app.py"))["app"]
    for each in app.get_functions():
        found = json.loads(each.get_function_json())
        function = Function(
            id=each.get_function_name(),
            name=each.get_function_name(),
            bindings=tuple(found["bindings"]),
        )
        if function.trigger["type"] == "httpTrigger":
            trigger = function.trigger
            yield make_route(function, trigger["route"], "api", trigger["methods"])
