"""Download of weights: cached, and checked by SHA-256 on every use."""

from __future__ import annotations

import hashlib
import logging
import urllib.parse
import urllib.request
from pathlib import Path

import torch

from reseen.errors import CheckpointError
from reseen.files import make_folder, replacing

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = 30.0


def is_address(source: str) -> bool:
    """Tell whether a source of weights is an address rather than a path."""
    return source.startswith(("http://", "https://"))


def fetch(address: str) -> Path:
    """Return the file behind an address, from the cache where it is there already.

    The cache is the folder ``reseen`` in torch's own (``torch.hub.get_dir()``, set by ``TORCH_HOME``).

    Args:
        address: Ends in ``#sha256=`` and the 64 digits that the file must hash to.

    Raises:
        ValueError: The address has no such ending.
        CheckpointError: The file cannot be fetched, or hashes to something else.
        WriteError: The cache cannot be written.
    """
    url, _, fragment = address.partition("#")
    expected = fragment.removeprefix("sha256=").lower()
    if len(expected) != 64 or not set(expected) <= set("0123456789abcdef"):
        raise ValueError(f"expected an address that ends in #sha256= and 64 digits, got {address!r}; add the hash")
    name = Path(urllib.parse.urlparse(url).path).name or "weights"
    kept = Path(torch.hub.get_dir()) / "reseen" / f"{expected[:16]}-{name}"
    if kept.is_file() and _hash(kept) == expected:
        return kept
    make_folder(kept.parent)
    with replacing(kept) as partial:
        try:
            logger.info("fetching %s", url)
            with partial.open("wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
        except OSError as error:
            raise CheckpointError(
                f"expected weights at {url}, got {getattr(error, 'reason', None) or error}; "
                f"fetch them elsewhere and give the file, or place it as {kept}"
            ) from error
        found = _hash(partial)
        if found != expected:
            raise CheckpointError(f"expected {url} to hash to {expected}, got {found}; the file is not what was meant")
    return kept


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
