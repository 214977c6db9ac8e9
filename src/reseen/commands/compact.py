"""``reseen compact GALLERY``."""

from reseen.gallery import Compaction, Gallery
from reseen.terminal import Terminal


def compact(gallery: str, /) -> None:
    """Make the search index of a gallery anew, and remove from its files what was deleted or renamed.

    Args:
        gallery: A folder, or milvus://host:port/name.
    """
    with Gallery(gallery, create=False) as store:
        console = Terminal()
        console.print(f"{compact_and_tell(store, console).num_items:,} items in {store.location}")


def compact_and_tell(gallery: Gallery, console: Terminal) -> Compaction:
    """Compact a gallery, and say what could not be removed from its files."""
    left = gallery.compact()
    if left.log_bytes:
        console.print(
            f"{left.log_bytes:,} bytes of the log stay, in which deleted items may stand: another process reads the "
            "gallery; run reseen compact once it is done"
        )
    return left
