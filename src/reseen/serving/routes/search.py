"""The addresses that look: search by picture, say what there is to choose from, keep a verdict."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request

from reseen.gallery import Where
from reseen.pictures import Pixels, digest, resized
from reseen.serving.answers import Answer, Facts, Verdict, as_found, line
from reseen.serving.desk import PICTURE, Desk, aside
from reseen.serving.limits import RefusedError, as_label


def searching(desk: Desk) -> APIRouter:
    """Return the addresses."""
    gallery, batcher, limits, router = desk.gallery, desk.batcher, desk.limits, APIRouter()

    @router.post("/search", openapi_extra=PICTURE)
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
            raise RefusedError(422, f"Expected k to be at most {limits.num_answers}.")
        where = Where(
            identities=None if identity is None else [as_label(text, "identity") for text in identity],
            cameras=None if camera is None else [as_label(text, "camera") for text in camera],
            since=since,
            until=until,
        )

        def seen(pixels: Pixels) -> tuple[str, Pixels]:
            return digest(pixels).hex(), resized(pixels, batcher.size)

        name, pixels = await desk.received(request, seen)
        vector = await batcher.encode(pixels)

        def answered() -> Answer:
            matches = gallery.search(vector[None], k, where=where, by=by)[0]
            shown = gallery.pictured([match.item.id for match in matches])
            drawn = line(gallery.calibration())
            return Answer(
                query=name,
                threshold=None if drawn is None else drawn.threshold,
                false_alarms=None if drawn is None else drawn.rate,
                matches=[as_found(match, shown) for match in matches],
            )

        return await aside(answered)

    @router.get("/facts")
    async def facts() -> Facts:
        """Say what there is to choose from."""

        def told() -> Facts:
            since, until = gallery.times() or (None, None)
            return Facts(
                items=len(gallery),
                cameras=gallery.cameras(),
                since=since,
                until=until,
                calibrated=gallery.calibration() is not None,
                num_bytes=limits.num_bytes,
                num_answers=limits.num_answers,
            )

        return await aside(told)

    @router.post("/marks")
    async def mark(verdict: Annotated[Verdict, Body()]) -> dict[str, int]:
        """Keep whether a match was right."""

        def kept() -> None:
            if gallery.items([verdict.item])[0] is None:
                raise RefusedError(404, "Expected an item of this gallery, found none of this id.")
            gallery.mark(verdict.query, verdict.item, similarity=verdict.similarity, same=verdict.same)

        await aside(kept)
        return {"kept": 1}

    return router
