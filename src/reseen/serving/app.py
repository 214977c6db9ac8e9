"""Application factory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from reseen.embedding.encoder import Encoder
from reseen.gallery import Gallery
from reseen.serving.auth import BearerToken
from reseen.serving.batching import Batcher
from reseen.serving.dependencies import Services
from reseen.serving.errors import EXCEPTION_HANDLERS, RefusedError, framework_error, refused
from reseen.serving.middleware import HostsMiddleware, LimitsMiddleware, Metrics, ObservabilityMiddleware
from reseen.serving.routes import items, search
from reseen.serving.schemas import ErrorResponse
from reseen.serving.settings import DEFAULT_LIMITS, Limits
from reseen.serving.uploads import Decoder

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
HEALTH_SECONDS = 0.5
"""How long `/health` waits for the gallery."""


def create_app(
    gallery: Gallery,
    encoder: Encoder,
    *,
    token: str | None,
    read_token: str | None = None,
    hosts: frozenset[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> FastAPI:
    """Return the server of a gallery as an ASGI application.

    Args:
        gallery: Is searched and written; not closed.
        encoder: The model of the gallery's vectors.
        token: Bearer token to search and to write; None lets everybody do both.
        read_token: Bearer token to search only.
        hosts: Host names by which the server may be called, as from `reseen.serving.allowed_names`; None for any.
        limits: Of requests.
    """
    batcher = Batcher(encoder, max_batch=limits.batch, observe=lambda size: metrics.observe_batch(size))
    metrics = Metrics(lambda: len(gallery), lambda: batcher.num_waiting)
    decoder = Decoder(limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        decoder.close()
        await batcher.stop()

    app = FastAPI(
        title="reseen",
        summary="Have we seen this one, where and when?",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": ErrorResponse, "description": "Not served, and why"}},
        middleware=[
            Middleware(ObservabilityMiddleware, metrics=metrics),
            Middleware(HostsMiddleware, names=hosts),
            Middleware(LimitsMiddleware, limits=limits),
        ],
    )
    for kind, answer in EXCEPTION_HANDLERS.items():
        app.add_exception_handler(kind, answer)
    app.state.services = Services(gallery, batcher, decoder, limits)

    def show_metrics() -> Response:
        """Show the server's metrics, for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    readers: list[Any] = []
    writers: list[Any] = []
    if token is not None:
        read = [] if read_token is None else [read_token]
        reading, writing = BearerToken([token, *read]), BearerToken([token], other=read)
        readers, writers = [Depends(reading)], [Depends(writing)]
        app.add_exception_handler(HTTPException, framework_error_after(reading))
    app.include_router(search.router, dependencies=readers)
    app.include_router(items.reading, dependencies=readers)
    app.include_router(items.writing, dependencies=writers)
    app.get("/metrics", response_class=Response, dependencies=readers)(show_metrics)
    app.get("/live")(live)
    app.get("/health")(health(gallery))
    for path, (file, media_type) in PAGE.items():
        app.get(path, include_in_schema=False)(static(file, media_type))
    return app


def framework_error_after(token: BearerToken) -> Callable[[Request, Any], Response]:
    """Return a handler of unknown addresses and methods that says nothing about them without the token."""

    def handle(request: Request, error: HTTPException) -> Response:
        try:
            token.check(request)
        except RefusedError as refusal:
            return refused(request, refusal)
        return framework_error(request, error)

    return handle


async def live() -> dict[str, str]:
    """Say that the server runs, whatever becomes of the gallery: restarting it would not help where that is down."""
    return {"status": "ok"}


def health(gallery: Gallery) -> Callable[[], Awaitable[dict[str, str]]]:
    """Return the endpoint of `/health`: one check of the gallery at a time, in a thread that nothing else uses."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="health")
    running: list[asyncio.Future[int]] = []

    async def check() -> dict[str, str]:
        """Check whether the server can answer: its gallery does."""
        if not running or running[0].done():
            running[:] = [asyncio.get_running_loop().run_in_executor(thread, len, gallery)]
        done, _ = await asyncio.wait(running, timeout=HEALTH_SECONDS)
        if not done:
            raise RefusedError(503, "The gallery does not answer now; try again in a moment.")
        running[0].result()
        return {"status": "ok"}

    return check


def static(file: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    """Return the endpoint of one of the page's files."""
    content = (resources.files("reseen.serving") / "page" / file).read_bytes()

    async def serve() -> Response:
        return Response(content, media_type=media_type)

    return serve
