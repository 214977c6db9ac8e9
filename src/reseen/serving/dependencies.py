"""What the addresses share: the gallery, the model, and how a picture comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from reseen.gallery import Gallery
from reseen.pictures import Pixels
from reseen.serving.batching import Batcher
from reseen.serving.intake import picture
from reseen.serving.limits import Limits, RefusedError

Result = TypeVar("Result")
PICTURE = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""What OpenAPI says of a body that is a picture."""


@dataclass(frozen=True)
class Desk:
    """What a request needs to be answered."""

    gallery: Gallery
    batcher: Batcher
    limits: Limits

    async def received(self, request: Request, use: Callable[[Pixels], Result]) -> Result:
        """Return what becomes of the picture in a request's body.

        Raises:
            RefusedError: It is none, or more than the limits allow.
        """
        kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise RefusedError(415, "Expected a picture as the body, with a Content-Type of image/...")
        body = await request.body()
        return await aside(lambda: use(picture(body, self.limits)))


async def aside(work: Callable[[], Result]) -> Result:
    """Run what takes a while in a thread, so that the server can go on answering."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def checked(item: str) -> str:
    """Return an item's id if it could be one.

    Raises:
        RefusedError: It could not.
    """
    if len(item) != 32 or set(item) - set("0123456789abcdef"):
        raise RefusedError(422, "Expected an id of 32 hexadecimal digits.")
    return item
