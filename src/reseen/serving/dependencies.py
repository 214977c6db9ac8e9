"""FastAPI dependencies of the routes: the server's services, and JSON bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from reseen.gallery import Gallery
from reseen.serving.batching import Batcher
from reseen.serving.errors import RefusedError
from reseen.serving.settings import Limits
from reseen.serving.uploads import Decoder

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Services:
    """Services that the routes use."""

    gallery: Gallery
    batcher: Batcher
    decoder: Decoder
    limits: Limits


def services(request: Request) -> Services:
    """Return the services of the application."""
    state: Services = request.app.state.services
    return state


ServicesDependency = Annotated[Services, Depends(services)]


def json_body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """Return a dependency that reads a JSON body.

    A declared body would be read before the dependencies run, and so before the token is checked.
    """

    async def read(request: Request) -> Model:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "Expected JSON as the body, with a Content-Type of application/json.")
        try:
            return model.model_validate_json(await request.body())
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in errors]) from None

    return read


def openapi_json(model: type[BaseModel]) -> dict[str, Any]:
    """Return OpenAPI's description of a JSON body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}
