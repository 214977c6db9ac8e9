"""The addresses of single items: add one, look at it, delete it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from reseen.gallery import Added
from reseen.pictures import Pixels, digest, resized, thumbnail
from reseen.serving.answers import Kept, Known, as_known
from reseen.serving.desk import PICTURE, Desk, aside, checked
from reseen.serving.limits import RefusedError, as_label, as_source


def keeping(desk: Desk) -> APIRouter:
    """Return the addresses."""
    gallery, batcher, router = desk.gallery, desk.batcher, APIRouter()

    @router.post("/items", openapi_extra=PICTURE)
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
        origin = None if source is None else as_source(source)

        def seen(pixels: Pixels) -> tuple[bytes, bytes, Pixels]:
            return digest(pixels), thumbnail(pixels), resized(pixels, batcher.size)

        name, small, pixels = await desk.received(request, seen)
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

    @router.get("/items/{item}")
    async def look_up(item: str) -> Known:
        """Say what is known of an item."""
        found = await aside(lambda: gallery.items([checked(item)])[0])
        if found is None:
            raise RefusedError(404, "Expected an item of this gallery, found none of this id.")
        return Known(**as_known(found))

    @router.get("/items/{item}/picture", response_class=Response)
    async def show(item: str) -> Response:
        """Return the small picture that is kept of an item."""
        jpeg = await aside(lambda: gallery.picture(checked(item)))
        if jpeg is None:
            raise RefusedError(404, "Expected an item with a picture, found none of this id.")
        return Response(jpeg, media_type="image/jpeg")

    @router.delete("/items/{item}")
    async def delete(item: str) -> dict[str, int]:
        """Forget an item and its picture."""
        if not await aside(lambda: gallery.delete([checked(item)])):
            raise RefusedError(404, "Expected an item of this gallery, found none of this id.")
        return {"deleted": 1}

    return router
