"""Routes of single items: add, look up, name, rate a match, delete."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray

from reseen.gallery import Added
from reseen.pictures import Pixels, digest, resized, thumbnail
from reseen.serving.dependencies import ServicesDependency, json_body, openapi_json
from reseen.serving.errors import RefusedError
from reseen.serving.schemas import FeedbackRequest, ItemAdded, ItemInfo, RelabelRequest, RenameRequest, item_fields
from reseen.serving.uploads import UPLOAD, read_upload, until_disconnect
from reseen.serving.validation import ItemId, as_label, as_source

reading, writing = APIRouter(), APIRouter()


@writing.post("/items", openapi_extra=UPLOAD)
async def add(
    request: Request,
    services: ServicesDependency,
    identity: str | None = None,
    camera: str | None = None,
    track: str | None = None,
    time: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    source: str | None = None,
) -> ItemAdded:
    """Add the picture in the body; when this has answered, it is on the disk."""
    gallery, batcher, decoder = services.gallery, services.batcher, services.decoder
    who = None if identity is None else as_label(identity, "identity")
    place = None if camera is None else as_label(camera, "camera")
    sequence = None if track is None else as_label(track, "track")
    origin = None if source is None else as_source(source)
    body = await read_upload(request)

    def prepare(pixels: Pixels) -> tuple[bytes, bytes, Pixels]:
        return digest(pixels), thumbnail(pixels), resized(pixels, batcher.size)

    async def embed() -> tuple[bytes, bytes, NDArray[np.float32]]:
        content, small, pixels = await decoder.decode(body, prepare)
        return content, small, await batcher.encode(pixels)

    content, small, vector = await until_disconnect(request, embed())

    def keep() -> Added:
        return gallery.add(
            vector[None],
            identities=[who],
            cameras=[place],
            tracks=[sequence],
            times=[time],
            sources=[origin],
            pictures=[small],
            contents=[content],
        )

    added = await run_in_threadpool(keep)
    return ItemAdded(id=added.ids[0], new=added.new == 1)


@reading.get("/items/{item}")
def look_up(item: ItemId, services: ServicesDependency) -> ItemInfo:
    """Show what is known of an item."""
    (record,) = services.gallery.items([item])
    if record is None:
        raise no_such_item()
    return ItemInfo(**item_fields(record))


@reading.get("/items/{item}/picture", response_class=Response)
def show_picture(item: ItemId, services: ServicesDependency) -> Response:
    """Show the small picture that is kept of an item."""
    jpeg = services.gallery.picture(item)
    if jpeg is None:
        raise RefusedError(404, "Expected an item with a picture, found none of this id.")
    return Response(jpeg, media_type="image/jpeg")


@writing.patch("/items/{item}", openapi_extra=openapi_json(RelabelRequest))
def relabel(
    item: ItemId, change: Annotated[RelabelRequest, Depends(json_body(RelabelRequest))], services: ServicesDependency
) -> ItemInfo:
    """Set whom an item shows."""
    services.gallery.relabel([item], change.identity)
    return look_up(item, services)


@writing.delete("/items/{item}")
def delete(item: ItemId, services: ServicesDependency) -> dict[str, int]:
    """Delete an item and its picture."""
    if not services.gallery.delete([item]):
        raise no_such_item()
    return {"deleted": 1}


@writing.post("/identities/rename", openapi_extra=openapi_json(RenameRequest))
def rename(
    names: Annotated[RenameRequest, Depends(json_body(RenameRequest))], services: ServicesDependency
) -> dict[str, int]:
    """Rename an identity; where another has the new name, the two become one."""
    changed = services.gallery.rename(names.identity, names.new)
    return {"changed": changed}


@writing.post("/marks", openapi_extra=openapi_json(FeedbackRequest))
def mark(
    feedback: Annotated[FeedbackRequest, Depends(json_body(FeedbackRequest))], services: ServicesDependency
) -> dict[str, int]:
    """Keep whether a match was right, or take it back."""
    if services.gallery.items([feedback.item])[0] is None:
        raise no_such_item()
    if feedback.same is None:
        services.gallery.unmark(feedback.query, feedback.item)
        return {"kept": 0}
    services.gallery.mark(feedback.query, feedback.item, similarity=feedback.similarity, same=feedback.same)
    return {"kept": 1}


def no_such_item() -> RefusedError:
    """Return the error of an id that the gallery does not hold."""
    return RefusedError(404, "Expected an item of this gallery, found none of this id.")
