"""Errors as answers: an HTTP status and one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from reseen.errors import GalleryError

logger = logging.getLogger(__name__)

INTERNAL_ERROR = "Something went wrong here; the server's log says what."
SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
}
VALIDATION_SENTENCES = {
    "json_invalid": "Expected JSON as the body, got something else.",
    "missing": "Expected {}, got none.",
    "extra_forbidden": "Expected no field named {}.",
    "string_pattern_mismatch": "Expected {} of 32 hexadecimal digits.",
    "too_long": "Expected at most 1,000 of {}.",
    "model_type": "Expected {} to be a JSON object.",
}
"""Sentences by pydantic's types of error, where its own message would not do."""


class RefusedError(Exception):
    """A request that is not served: an HTTP status and one sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def error_response(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that is not served."""
    extra: dict[str, Any] = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        extra["Retry-After"] = "1"
    if status in (400, 408):  # With 413 the client still sends, and would not hear an answer over a closed connection.
        extra["Connection"] = "close"
    return JSONResponse({"error": sentence}, status, headers={**(headers or {}), **extra})


def refused(_: Request, error: RefusedError) -> Response:
    """Answer a request that this package refuses."""
    return error_response(error.status, error.sentence)


def framework_error(_: Request, error: HTTPException) -> Response:
    """Answer a request that the framework refuses."""
    sentence = SENTENCES.get(error.status_code, f"{str(error.detail).rstrip('.')}.")
    return error_response(error.status_code, sentence, dict(error.headers or {}))


def invalid(_: Request, error: RequestValidationError) -> Response:
    """Answer a request whose parameters or JSON do not fit, with the first thing that is wrong."""
    first = error.errors()[0]
    place = printable(".".join(str(part) for part in first["loc"][1:])) or "the body"
    if first["type"] in VALIDATION_SENTENCES:
        sentence = VALIDATION_SENTENCES[first["type"]].format(place)
    else:
        sentence = f"Expected {place} to be {first['msg'].removeprefix('Input should be ').partition(', unable')[0]}."
    return error_response(422, sentence)


def unavailable(_: Request, error: GalleryError) -> Response:
    """Answer while the gallery cannot be used; why may name a path and stands in the log alone."""
    logger.warning("the gallery cannot be used: %s", error)
    return error_response(503, "The gallery cannot be used now; the server's log says why.")


def disconnected(_: Request, __: ClientDisconnect) -> Response:
    """Answer a client that has left: nobody reads it, but it is counted."""
    return Response(status_code=499)


EXCEPTION_HANDLERS: dict[type[Exception], Callable[[Request, Any], Response]] = {
    RefusedError: refused,
    RequestValidationError: invalid,
    HTTPException: framework_error,
    GalleryError: unavailable,
    ClientDisconnect: disconnected,
}


def printable(text: str) -> str:
    """Return the beginning of a text from outside, with ``?`` for what cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
