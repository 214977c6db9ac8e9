"""Routes that read the gallery: search by picture, and facts to choose filters from."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray

from reseen.gallery import Where
from reseen.gallery.records import EVERYTHING
from reseen.labels import listed
from reseen.pictures import Pixels, digest, resized
from reseen.serving.dependencies import ServicesDependency
from reseen.serving.errors import RefusedError
from reseen.serving.schemas import GalleryInfo, SearchResponse, as_match, open_set_threshold
from reseen.serving.uploads import UPLOAD, read_upload, until_disconnect
from reseen.serving.validation import as_label

router = APIRouter()


@router.post("/search", openapi_extra=UPLOAD)
async def search(
    request: Request,
    services: ServicesDependency,
    k: Annotated[int, Query(ge=1)] = 20,
    by: Literal["picture", "identity", "track"] = "picture",
    camera: Annotated[list[str] | None, Query(max_length=1000)] = None,
    identity: Annotated[list[str] | None, Query(max_length=1000)] = None,
    since: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    until: Annotated[float | None, Query(allow_inf_nan=False)] = None,
) -> SearchResponse:
    """Find the items most similar to the picture in the body."""
    gallery, batcher, decoder = services.gallery, services.batcher, services.decoder
    if k > services.limits.num_answers:
        raise RefusedError(422, f"Expected k to be at most {services.limits.num_answers}.")
    cameras = None if camera is None else [as_label(text, "camera") for text in camera]
    where = Where(
        identities=None if identity is None else [as_label(text, "identity") for text in identity],
        cameras=cameras,
        since=since,
        until=until,
    )
    body = await read_upload(request)

    def prepare(pixels: Pixels) -> tuple[str, Pixels]:
        return digest(pixels).hex(), resized(pixels, batcher.size)

    async def embed() -> tuple[str, NDArray[np.float32]]:
        name, pixels = await decoder.decode(body, prepare)
        return name, await batcher.encode(pixels)

    query, vector = await until_disconnect(request, embed())

    def find() -> SearchResponse:
        if unknown := [label for label in cameras or () if not gallery.count(Where(cameras=[label]))]:
            known = listed(gallery.cameras())
            raise RefusedError(422, f"Expected camera among {known}, got {listed(unknown)}.")
        matches = gallery.search(vector[None], k, where=where, by=by)[0]
        pictured = gallery.pictured([match.item.id for match in matches])
        calibration = gallery.calibration()
        threshold = open_set_threshold(calibration)
        nearest = matches if where == EVERYTHING else gallery.search(vector[None], 1)[0]
        return SearchResponse(
            query=query,
            threshold=None if threshold is None else threshold.threshold,
            false_alarms=None if threshold is None else threshold.rate,
            prior=None if calibration is None else calibration.prior,
            unfamiliar=calibration is not None and bool(nearest) and calibration.unfamiliar(nearest[0].similarity),
            matches=[as_match(match, pictured) for match in matches],
        )

    return await run_in_threadpool(find)


@router.get("/facts")
def facts(services: ServicesDependency) -> GalleryInfo:
    """Return the size, cameras and times of the gallery, and the limits of requests."""
    gallery, limits = services.gallery, services.limits
    since, until = gallery.times() or (None, None)
    return GalleryInfo(
        items=len(gallery),
        cameras=gallery.cameras(),
        since=since,
        until=until,
        calibrated=gallery.calibration() is not None,
        num_bytes=limits.num_bytes,
        num_answers=limits.num_answers,
    )
