"""``reseen delete GALLERY``."""

from collections.abc import Sequence
from pathlib import Path

from reseen.commands.compact import compact_and_tell
from reseen.commands.label import ids_by, ids_in, ids_of, require_held
from reseen.errors import DataError
from reseen.gallery import Gallery, Where
from reseen.labels import parse_argument
from reseen.tables import read_table
from reseen.terminal import Terminal


def delete(gallery: str, /, *, ids: str = "", identity: str | int = "", table: Path | None = None) -> None:
    """Delete items of a gallery with their pictures, so that they are in none of its files any more.

    Give one of --ids, --identity and --table.

    Args:
        gallery: A folder, or milvus://host:port/name.
        ids: Items, by their ids, separated by commas.
        identity: All items of this identity. In double quotes a number is text, as in '"7"'.
        table: A CSV or Parquet file of id, of path, if each is of one item, or else of identity.
    """
    if [ids != "", identity != "", table is not None].count(True) != 1:
        raise DataError("expected one of --ids, --identity and --table; see reseen delete --help")
    with Gallery(gallery, create=False) as store:
        chosen: Sequence[str]
        if table is not None:
            chosen = ids_in_table(store, table)
        elif ids != "":
            chosen = require_held(store, ids_in(ids))
        else:
            store.require_known(Where(identities=[parse_argument(identity)]))
            chosen = ids_of(store, parse_argument(identity))
        count = store.delete(chosen)
        console = Terminal()
        console.print(f"{count:,} items deleted; {len(store):,} in {store.location}")
        compact_and_tell(store, console)


def ids_in_table(gallery: Gallery, path: Path) -> Sequence[str]:
    """Return the items that a table names: by their ids or paths, or all of its identities."""
    rows = read_table(path, required=(), optional=("id", "path", "identity"))
    if "id" in rows or "path" in rows or "identity" not in rows:
        return ids_by(gallery, rows)
    identities = [identity for identity in dict.fromkeys(rows.identities()) if identity is not None]
    gallery.require_known(Where(identities=identities))
    return [name for identity in identities for name in ids_of(gallery, identity)]
