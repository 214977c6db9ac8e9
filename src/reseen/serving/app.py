"""The server put together: its addresses, its page, what stands before them and what is said when something fails."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any

from fastapi import FastAPI, Response
from starlette.types import ASGIApp

from reseen.encoding import Encoder
from reseen.gallery import Gallery
from reseen.serving.answers import Fault
from reseen.serving.batching import Batcher
from reseen.serving.counters import Counters
from reseen.serving.desk import Desk, aside
from reseen.serving.faults import FAULTS
from reseen.serving.guard import Guard
from reseen.serving.keeping import keeping
from reseen.serving.limits import USUAL, Limits
from reseen.serving.searching import searching

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


def create_app(
    gallery: Gallery,
    encoder: Encoder,
    *,
    token: str | None,
    hosts: frozenset[str] | None = None,
    limits: Limits = USUAL,
) -> ASGIApp:
    """Return the server, as an ASGI application.

    Args:
        gallery: Is searched and written; not closed.
        encoder: The model of the gallery's vectors.
        token: What clients have to know; None lets everybody in who reaches the server.
        hosts: Names by which it may be called; None for any.
        limits: Of requests.
    """
    batcher = Batcher(encoder, most=limits.batch, watch=lambda size: counters.batch(size))
    counters = Counters(lambda: len(gallery), lambda: batcher.num_waiting)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    api = FastAPI(
        title="reseen",
        summary="Have we seen this one, where and when?",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": Fault, "description": "Not served, and why"}},
    )
    desk = Desk(gallery, batcher, limits)
    api.include_router(searching(desk))
    api.include_router(keeping(desk))

    @api.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Say how much has been done, for Prometheus."""
        return Response(await aside(counters.text), media_type="text/plain; version=0.0.4")

    @api.get("/health")
    async def health() -> dict[str, str]:
        """Say whether the server is well, its gallery included."""
        await aside(lambda: len(gallery))
        return {"status": "ok"}

    for path, (file, kind) in PAGE.items():
        api.get(path, include_in_schema=False)(fixed(file, kind))
    for error, answer in FAULTS.items():
        api.add_exception_handler(error, answer)
    if token is not None:
        tell_of_token(api)
    return Guard(api, token=token, hosts=hosts, limits=limits, watch=counters.request)


def tell_of_token(api: FastAPI) -> None:
    """Put into the OpenAPI description that everything but `/health` takes the token; the guard checks it."""
    told = api.openapi()
    told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    told["security"] = [{"token": []}]
    told["paths"]["/health"]["get"]["security"] = []


def fixed(file: str, kind: str) -> Callable[[], Any]:
    """Return what serves one of the page's files."""
    content = (resources.files("reseen.serving") / "page" / file).read_bytes()

    async def serve() -> Response:
        return Response(content, media_type=kind)

    return serve
