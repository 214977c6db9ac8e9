"""``reseen label GALLERY``."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from reseen.errors import DataError, GalleryError
from reseen.files import write_atomically
from reseen.gallery import Gallery, Item, Where
from reseen.labels import UNKNOWN, listed, ordered, parse_argument, visible
from reseen.tables import TextTable, read_table
from reseen.terminal import Terminal

BLOCK = 10_000
COLUMNS = ("id", "path", "identity", "camera", "track", "time")


def label(
    gallery: str,
    /,
    *,
    ids: str = "",
    identity: str | int = "",
    table: Path | None = None,
    to: str | int = "",
    out: Path | None = None,
) -> None:
    """Change the identity of items of a gallery, rename or merge identities, or list the identities.

    Give --to with --identity or --ids, or give --table. Without any of them the identities are listed.

    Args:
        gallery: A folder, or milvus://host:port/name.
        ids: Items to give another identity, by their ids, separated by commas.
        identity: An identity to rename; where the new name is there already, the two become one. In double quotes a
            number is text, as in '"7"'.
        table: A CSV or Parquet file of identity and id, or of identity and path, if each path is of one item; rows
            without an identity are left alone.
        to: New identity; unknown for none.
        out: CSV file for all items with their labels, which --table reads.
    """
    console = Terminal()
    given = {"ids": ids != "", "identity": identity != "", "table": table is not None}
    chosen = [name for name, there in given.items() if there]
    if len(chosen) > 1 or (to != "") != (chosen in (["ids"], ["identity"])):
        raise DataError("expected --to with --identity or --ids, or --table alone; see reseen label --help")
    with Gallery(gallery, create=False) as kept:
        new = None if str(to).lower() == UNKNOWN else parse_argument(to)
        if table is not None:
            console.print(f"{relabelled(kept, table):,} items changed")
        elif ids != "":
            console.print(f"{kept.relabel(held(kept, ids_in(ids)), new):,} items changed")
        elif identity != "":
            old = parse_argument(identity)
            kept.require_known(Where(identities=[old]))
            merged = new is not None and new != old and kept.count(Where(identities=[new])) > 0
            changed = kept.relabel(ids_of(kept, old), None) if new is None else kept.rename(old, new)
            console.print(f"{changed:,} items changed{f', merged with those of {visible(str(new))}' if merged else ''}")
        elif out is None:
            console.print(counted(kept))
        if out is not None:
            write_atomically(out, written(kept).encode())
            console.print(f"{len(kept):,} items: {out}", soft_wrap=True)


def counted(gallery: Gallery) -> Table:
    """Return a table of identities with their numbers of items."""
    counts = Counter(item.identity for item in every(gallery))
    table = Table("identity", box=None, pad_edge=False)
    table.add_column("items", justify="right")
    for name in ordered(name for name in counts if name is not None):
        table.add_row(visible(listed([name])), f"{counts[name]:,}")
    if nobody := counts[None]:
        table.add_row("(nobody known)", f"{nobody:,}")
    return table


def written(gallery: Gallery) -> str:
    """Return what is known of every item as CSV."""
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    rows.writerows((i.id, i.source, i.identity, i.camera, i.track, i.time) for i in every(gallery))
    return file.getvalue()


def every(gallery: Gallery) -> Iterator[Item]:
    """Yield the items of a gallery."""
    ids = gallery.select(limit=len(gallery))
    for start in range(0, len(ids), BLOCK):
        yield from (item for item in gallery.items(ids[start : start + BLOCK]) if item is not None)


def relabelled(gallery: Gallery, path: Path) -> int:
    """Give items the identities of a table and return how many changed."""
    rows = read_table(path, required=("identity",), optional=("id", "path"))
    new: dict[str, int | str | None] = {}
    for name, text, identity in zip(ids_by(gallery, rows), rows.texts("identity"), rows.identities(), strict=True):
        if text and new.setdefault(name, identity) != identity:
            raise DataError(
                f"expected one identity of each item in {path}, found {identity!r} and {new[name]!r} of {name}"
            )
    groups: dict[int | str | None, list[str]] = defaultdict(list)
    for name, identity in new.items():
        groups[identity].append(name)
    return sum(gallery.relabel(ids, identity) for identity, ids in groups.items())


def ids_by(gallery: Gallery, rows: TextTable) -> Sequence[str]:
    """Return the item of each row of a table, by its column ``id`` or else ``path``.

    Raises:
        DataError: There is neither, or a path is of no item, or of several.
        GalleryError: An id is of no item.
    """
    if "id" in rows:
        return held(gallery, rows.texts("id"))
    if "path" not in rows:
        raise DataError(
            f"expected a column id or path in {rows.source}, found neither; `reseen label --out` writes both"
        )
    wanted, found = set(rows.texts("path")), defaultdict(list)
    for item in every(gallery):
        if item.source in wanted:
            found[item.source].append(item.id)
    if wrong := [path for path in rows.texts("path") if len(found[path]) != 1]:
        raise DataError(
            f"expected one item of each path of {rows.source} in {gallery.location}, found {len(found[wrong[0]])} of "
            f"{wrong[0]}, the first of {len(wrong):,}; give ids, which `reseen label --out` writes"
        )
    return [found[path][0] for path in rows.texts("path")]


def ids_in(text: str) -> list[str]:
    """Return ids written one after the other."""
    return re.findall(r"[^\s,;\[\]\"']+", text)


def ids_of(gallery: Gallery, identity: int | str) -> list[str]:
    """Return the items of an identity."""
    where = Where(identities=[identity])
    return gallery.select(where, limit=gallery.count(where))


def held(gallery: Gallery, ids: Sequence[str]) -> Sequence[str]:
    """Return ids, all of which are of items.

    Raises:
        GalleryError: One is not.
        ValueError: One is not well formed.
    """
    if missing := [name for name, item in zip(ids, gallery.items(ids), strict=True) if item is None]:
        raise GalleryError(
            f"expected ids of items of {gallery.location}, found {len(missing):,} that are of none, first {missing[0]}"
        )
    return ids
