"""Whatever goes wrong becomes a status and one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from reseen.errors import GalleryError
from reseen.serving.limits import RefusedError, as_shown

BROKEN = "Something went wrong here; the server's log says what."
SENTENCES = {
    400: "Expected JSON as the body, got something else.",
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
}
MISTAKES = {
    "missing": "Expected {}, got none.",
    "extra_forbidden": "Expected no field named {}.",
    "string_pattern_mismatch": "Expected {} of 32 hexadecimal digits.",
    "too_long": "Expected at most 1,000 of {}.",
    "model_attributes_type": "Expected {} to be a JSON object.",
}
"""Sentences by pydantic's kinds of error, where its own would not do."""


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that is not served."""
    extra: dict[str, Any] = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        extra["Retry-After"] = "1"
    if status in (408, 413):
        extra["Connection"] = "close"
    return JSONResponse({"error": sentence}, status, headers={**(headers or {}), **extra})


def unserved(error: HTTPException) -> Response:
    """Answer what the framework itself turns away."""
    if isinstance(error.__cause__, RefusedError):  # It hides what stopped a body from being read.
        return refusal(error.__cause__.status, error.__cause__.sentence)
    sentence = SENTENCES.get(error.status_code, f"{str(error.detail).rstrip('.')}.")
    return refusal(error.status_code, sentence, dict(error.headers or {}))


def first_fault(error: RequestValidationError) -> str:
    """Return the first thing that is wrong with a request's parameters or its JSON, in a sentence."""
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return SENTENCES[400]
    place = as_shown(".".join(str(part) for part in fault["loc"][1:])) or "the body"
    if fault["type"] in MISTAKES:
        return MISTAKES[fault["type"]].format(place)
    return f"Expected {place} to be {fault['msg'].removeprefix('Input should be ').partition(', unable')[0]}."


FAULTS: dict[type[Exception], Callable[[Request, Any], Response]] = {
    RefusedError: lambda _, error: refusal(error.status, error.sentence),
    RequestValidationError: lambda _, error: refusal(422, first_fault(error)),
    HTTPException: lambda _, error: unserved(error),
    GalleryError: lambda _, error: refusal(503, f"The gallery cannot be used now: {error}."),
    ClientDisconnect: lambda _, __: Response(status_code=499),  # Nobody reads it, but it is counted.
    Exception: lambda _, __: refusal(500, BROKEN),
}
