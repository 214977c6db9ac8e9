"""``reseen forget GALLERY``."""

from reseen.commands.compact import compact_and_tell
from reseen.gallery import Gallery, Where
from reseen.terminal import Terminal


def forget(gallery: str, /, *, before: float) -> None:
    """Delete the items of a gallery that were seen before a time, with their pictures, from all of its files.

    Args:
        gallery: A folder, or milvus://host:port/name.
        before: In seconds of the gallery's clock, such as Unix time. Items without a time stay, and are counted.
    """
    with Gallery(gallery, create=False) as store:
        old = Where(until=before)
        count = store.delete(store.select(old, limit=max(1, store.count(old))))
        untimed = len(store) - store.count(Where(since=float("-inf")))
        console = Terminal()
        console.print(
            f"{count:,} items deleted; {len(store):,} in {store.location}, {untimed:,} of them without a time"
        )
        compact_and_tell(store, console)
