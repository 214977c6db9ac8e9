"""The server's addresses: search by picture, add, look up, delete, mark, and a page that uses them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from reseen.encoding import Encoder
from reseen.errors import GalleryError
from reseen.gallery import Added, Gallery, Item, Match, Where
from reseen.pictures import Pixels, digest, resized, thumbnail
from reseen.serving.batching import Batcher
from reseen.serving.counters import Counters
from reseen.serving.guard import Guard, refusal
from reseen.serving.intake import picture
from reseen.serving.limits import USUAL, Limits, RefusedError, as_label, as_name

Result = TypeVar("Result")
FALSE_ALARMS = 0.01
PICTURE = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/*",)},
    }
}


class Found(BaseModel):
    """One answer of a search."""

    id: str
    identity: int | str | None
    camera: int | str | None
    track: int | str | None
    time: float | None
    source: str | None
    extra: dict[str, Any]
    similarity: float
    probability: float | None
    picture: bool


class Answer(BaseModel):
    """A search's answers, best first.

    ``query`` names the picture in a mark. ``threshold`` is the similarity below which a stranger is likelier; null
    while the gallery is not calibrated for it.
    """

    query: str
    threshold: float | None
    matches: list[Found]


class Kept(BaseModel):
    """A picture that has been added: its id, and whether it was new."""

    id: str
    new: bool


class Verdict(BaseModel):
    """Whether a match was right, kept for the next calibration."""

    model_config = {"extra": "forbid", "strict": True}

    query: str = Field(pattern="^[0-9a-f]{32}$")
    item: str = Field(pattern="^[0-9a-f]{32}$")
    similarity: float = Field(ge=-1.001, le=1.001)
    same: bool


class Facts(BaseModel):
    """What there is to choose from on the page."""

    items: int
    cameras: list[int | str]
    since: float | None
    until: float | None
    calibrated: bool


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
    batcher = Batcher(
        encoder, size=limits.batch, num_waiting=limits.num_waiting, watch=lambda size: counters.batch(size)
    )
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
    )

    async def received(request: Request) -> tuple[Pixels, bytes, bytes]:
        """Return a request's picture at the model's size, its digest, and a small JPEG file of it."""
        kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise RefusedError(415, "Expected a picture as the body, with a Content-Type of image/...")
        body = await request.body()

        def prepared() -> tuple[Pixels, bytes, bytes]:
            pixels = picture(body, limits)
            return resized(pixels, encoder.size), digest(pixels), thumbnail(pixels)

        return await aside(prepared)

    @api.get("/health")
    async def health() -> dict[str, str]:
        """Say whether the server is well."""
        return {"status": "ok"}

    @api.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Say how much has been done, for Prometheus."""
        return Response(await aside(counters.text), media_type="text/plain; version=0.0.4")

    @api.get("/facts")
    async def facts() -> Facts:
        """Say what there is to choose from."""

        def told() -> Facts:
            since, until = gallery.times() or (None, None)
            calibrated = gallery.calibration() is not None
            return Facts(items=len(gallery), cameras=gallery.cameras(), since=since, until=until, calibrated=calibrated)

        return await aside(told)

    @api.post("/search", openapi_extra=PICTURE)
    async def search(
        request: Request,
        k: Annotated[int, Query(ge=1)] = 20,
        by: Literal["picture", "identity", "track"] = "picture",
        camera: Annotated[list[str] | None, Query(max_length=1000)] = None,
        identity: Annotated[list[str] | None, Query(max_length=1000)] = None,
        since: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        until: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    ) -> Answer:
        """Find the items most alike to the picture in the body."""
        if k > limits.num_answers:
            raise RefusedError(422, f"Expected k of at most {limits.num_answers}, got {as_shown(str(k))}.")
        where = Where(
            identities=None if identity is None else [as_label(text, "identity") for text in identity],
            cameras=None if camera is None else [as_label(text, "camera") for text in camera],
            since=since,
            until=until,
        )
        pixels, name, _ = await received(request)
        vector = await batcher.encode(pixels)

        def answered() -> Answer:
            matches = gallery.search(vector[None], k, where=where, by=by)[0]
            shown = gallery.pictured([match.item.id for match in matches])
            calibration = gallery.calibration()
            lines = () if calibration is None else calibration.open_set
            threshold = next((line.threshold for line in lines if math.isclose(line.rate, FALSE_ALARMS)), None)
            return Answer(query=name.hex(), threshold=threshold, matches=[as_found(m, shown) for m in matches])

        return await aside(answered)

    @api.post("/items", openapi_extra=PICTURE)
    async def add(
        request: Request,
        identity: str | None = None,
        camera: str | None = None,
        track: str | None = None,
        time: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        source: str | None = None,
    ) -> Kept:
        """Add the picture in the body; when this has answered, it is on the disk."""
        who = None if identity is None else as_label(identity, "identity")
        place = None if camera is None else as_label(camera, "camera")
        sequence = None if track is None else as_label(track, "track")
        origin = None if source is None else as_name(source, "source")
        pixels, name, small = await received(request)
        vector = await batcher.encode(pixels)

        def kept() -> Added:
            return gallery.add(
                vector[None],
                identities=[who],
                cameras=[place],
                tracks=[sequence],
                times=[time],
                sources=[origin],
                pictures=[small],
                contents=[name],
            )

        added = await aside(kept)
        return Kept(id=added.ids[0], new=added.new == 1)

    @api.get("/items/{item}")
    async def look_up(item: str) -> dict[str, Any]:
        """Say what is known of an item."""
        found = await aside(lambda: gallery.items([checked(item)])[0])
        if found is None:
            raise RefusedError(404, "Expected an item of this gallery, found none of this id.")
        return as_dict(found)

    @api.get("/items/{item}/picture", response_class=Response)
    async def show(item: str) -> Response:
        """Return the small picture that is kept of an item."""
        jpeg = await aside(lambda: gallery.picture(checked(item)))
        if jpeg is None:
            raise RefusedError(404, "Expected an item with a picture, found none of this id.")
        return Response(jpeg, media_type="image/jpeg")

    @api.delete("/items/{item}")
    async def delete(item: str) -> dict[str, int]:
        """Forget an item."""
        if not await aside(lambda: gallery.delete([checked(item)])):
            raise RefusedError(404, "Expected an item of this gallery, found none of this id.")
        return {"deleted": 1}

    @api.post("/marks")
    async def mark(verdict: Annotated[Verdict, Body()]) -> dict[str, int]:
        """Keep whether a match was right."""

        def kept() -> None:
            if gallery.items([verdict.item])[0] is None:
                raise RefusedError(404, "Expected an item of this gallery, found none of this id.")
            gallery.mark(verdict.query, verdict.item, similarity=verdict.similarity, same=verdict.same)

        await aside(kept)
        return {"kept": 1}

    for path, file, kind in (
        ("/", "page.html", "text/html"),
        ("/page.css", "page.css", "text/css"),
        ("/page.js", "page.js", "text/javascript"),
    ):
        api.get(path, include_in_schema=False)(page(file, kind))

    faults: dict[type[Exception], Callable[[Request, Any], Response]] = {
        RefusedError: lambda _, error: refusal(error.status, error.sentence),
        RequestValidationError: lambda _, error: refusal(422, first_fault(error)),
        HTTPException: lambda _, error: unserved(error),
        GalleryError: lambda _, error: refusal(503, f"The gallery cannot be used now: {error}."),
        Exception: lambda _, __: refusal(500, "Something went wrong here; the server's log says what."),
    }
    for kind_of_error, answer_to in faults.items():
        api.add_exception_handler(kind_of_error, answer_to)
    return Guard(api, token=token, hosts=hosts, limits=limits, watch=counters.request)


async def aside(work: Callable[[], Result]) -> Result:
    """Run what takes a while in a thread, so that the server can go on answering."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def page(file: str, kind: str) -> Callable[[], Any]:
    """Return what serves one of the page's files."""
    content = (resources.files("reseen.serving") / "page" / file).read_bytes()

    async def serve() -> Response:
        return Response(content, media_type=kind)

    return serve


def checked(item: str) -> str:
    """Return an item's id if it could be one."""
    if len(item) != 32 or set(item) - set("0123456789abcdef"):
        raise RefusedError(422, "Expected an id of 32 hexadecimal digits.")
    return item


def as_dict(item: Item) -> dict[str, Any]:
    """Return an item as JSON has it."""
    return {name: getattr(item, name) for name in ("id", "identity", "camera", "track", "time", "source", "extra")}


def as_found(match: Match, shown: set[str]) -> Found:
    """Return a match as JSON has it."""
    item = as_dict(match.item)
    return Found(**item, similarity=match.similarity, probability=match.probability, picture=match.item.id in shown)


def first_fault(error: RequestValidationError | ValidationError) -> str:
    """Return the first thing that is wrong with a request, in a sentence."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"] if part not in ("query", "body", "path")) or "the body"
    return f"Wrong {as_shown(place)}: {fault['msg'].rstrip('.')}."


def as_shown(text: str) -> str:
    """Return what a stranger wrote short and plain."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])


def unserved(error: HTTPException) -> Response:
    """Answer a request to an address or by a method that is not served."""
    sentences = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    return refusal(
        error.status_code,
        sentences.get(error.status_code, f"{str(error.detail).rstrip('.')}."),
        dict(error.headers or {}),
    )
