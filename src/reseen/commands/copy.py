"""``reseen copy GALLERY TO``."""

from pathlib import Path

from reseen.gallery import Gallery
from reseen.terminal import Terminal


def copy(gallery: str, to: Path, /) -> None:
    """Copy a gallery as of one moment, also while others write to it; the search index is made when it is opened.

    Args:
        gallery: A folder.
        to: A folder that is not there yet.
    """
    with Gallery(gallery, create=False) as store:
        store.copy(to)
    with Gallery(to, create=False) as copied:
        Terminal().print(f"{len(copied):,} items in {copied.location}")
