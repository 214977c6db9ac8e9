"""Model of a verb that is given the name of one, or none. Needs no torch."""

from __future__ import annotations

import logging

from reseen.embedding.encoder import Encoder, load
from reseen.gallery.backends.base import backend_of
from reseen.zoo import DEFAULT

logger = logging.getLogger(__name__)


def model_or_default(model: str | None) -> str:
    """Return a model's name or path; the default one, with a line that says so, where none is given."""
    if model is None:
        logger.info("no model given: taking %s; reseen models lists others, and --model takes one or a file", DEFAULT)
        return DEFAULT
    return model


def open_model(
    model: str | None, device: str | None = None, *, gallery: str | None = None, create: bool = True
) -> Encoder:
    """Return a model by its name or path; the default one where none is given.

    Args:
        model: The name or path.
        device: Where it runs.
        gallery: What it is for: looked at before a model is fetched.
        create: The gallery need not be there yet.

    Raises:
        CheckpointError: There is no such model, or it cannot be fetched.
        GalleryError: There is no such gallery.
    """
    if gallery is not None:
        backend = backend_of(gallery)
        if not create:
            backend.require(gallery)
    return load(model_or_default(model), device)
