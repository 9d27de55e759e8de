"""HTTP functions that answer with what they were given."""

import asyncio
import json

import azure.functions as func

app = func.FunctionApp()


@app.route(route="items/{id:int}", methods=["GET", "POST"])
async def item(req: func.HttpRequest) -> func.HttpResponse:
    return shown(req)


@app.route(route="items/{name}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def named(req: func.HttpRequest) -> func.HttpResponse:
    return shown(req)


@app.route(route="open/{name?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def optional(req: func.HttpRequest) -> func.HttpResponse:
    return shown(req)


@app.route(route="files/{*rest}", auth_level=func.AuthLevel.ANONYMOUS)
async def rest(req: func.HttpRequest) -> func.HttpResponse:
    return shown(req)


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError(f"no luck with {req.method}")


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse(status_code=204, headers={"x-answer": "late"})


def shown(req: func.HttpRequest) -> func.HttpResponse:
    content = {
        "method": req.method,
        "params": dict(req.route_params),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")
