"""Optional dependencies: installed with ``pip install 'reseen[EXTRA]'``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from reseen.errors import MissingLibraryError


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Say how to install what an import inside the block finds missing.

    Raises:
        MissingLibraryError: A library of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "reseen":
            raise
        missing = f"expected the library {error.name}, which is not installed"
        raise MissingLibraryError(f"{missing}; run: pip install 'reseen[{extra}]'") from None
