"""``reseen label GALLERY``."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Column, Table

from reseen.errors import DataError, GalleryError
from reseen.files import write_atomically
from reseen.gallery import Gallery, Item, Where
from reseen.labels import UNKNOWN, listed, ordered, parse_argument, visible
from reseen.slicing import batched
from reseen.tables import TextTable, as_csv, read_table
from reseen.terminal import Terminal, plain_table

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
    ways = {"ids": ids != "", "identity": identity != "", "table": table is not None}
    chosen = [name for name, there in ways.items() if there]
    if len(chosen) > 1 or (to != "") != (chosen in (["ids"], ["identity"])):
        raise DataError("expected --to with --identity or --ids, or --table alone; see reseen label --help")
    with Gallery(gallery, create=False) as store:
        new = None if str(to).lower() == UNKNOWN else parse_argument(to)
        if table is not None:
            console.print(f"{relabel_from_table(store, table):,} items changed")
        elif ids != "":
            console.print(f"{store.relabel(require_held(store, ids_in(ids)), new):,} items changed")
        elif identity != "":
            old = parse_argument(identity)
            store.require_known(Where(identities=[old]))
            merged = new is not None and new != old and store.count(Where(identities=[new])) > 0
            changed = store.relabel(ids_of(store, old), None) if new is None else store.rename(old, new)
            console.print(f"{changed:,} items changed{f', merged with those of {visible(str(new))}' if merged else ''}")
        elif out is None:
            console.print(identity_table(store))
        if out is not None:
            write_atomically(out, items_csv(store).encode())
            console.print(f"{len(store):,} items: {out}")


def identity_table(gallery: Gallery) -> Table:
    """Return a table of identities with their numbers of items."""
    counts = Counter(item.identity for item in all_items(gallery))
    names = ordered(name for name in counts if name is not None)
    rows = [(visible(listed([name])), f"{counts[name]:,}") for name in names]
    if nobody := counts[None]:
        rows.append(("(nobody known)", f"{nobody:,}"))
    return plain_table(["identity", Column("items", justify="right")], rows)


def items_csv(gallery: Gallery) -> str:
    """Return what is known of every item as CSV."""
    return as_csv(COLUMNS, ((i.id, i.source, i.identity, i.camera, i.track, i.time) for i in all_items(gallery)))


def all_items(gallery: Gallery) -> Iterator[Item]:
    """Yield the items of a gallery."""
    for ids in batched(gallery.select(limit=len(gallery)), BLOCK):
        yield from (item for item in gallery.items(ids) if item is not None)


def relabel_from_table(gallery: Gallery, path: Path) -> int:
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
        return require_held(gallery, rows.texts("id"))
    if "path" not in rows:
        raise DataError(
            f"expected a column id or path in {rows.source}, found neither; `reseen label --out` writes both"
        )
    wanted, ids = set(rows.texts("path")), defaultdict(list)
    for item in all_items(gallery):
        if item.source in wanted:
            ids[item.source].append(item.id)
    if wrong := [path for path in rows.texts("path") if len(ids[path]) != 1]:
        raise DataError(
            f"expected one item of each path of {rows.source} in {gallery.location}, found {len(ids[wrong[0]])} of "
            f"{wrong[0]}, the first of {len(wrong):,}; give ids, which `reseen label --out` writes"
        )
    return [ids[path][0] for path in rows.texts("path")]


def ids_in(text: str) -> list[str]:
    """Return ids written one after the other."""
    return re.findall(r"[^\s,;\[\]\"']+", text)


def ids_of(gallery: Gallery, identity: int | str) -> list[str]:
    """Return the items of an identity."""
    where = Where(identities=[identity])
    return gallery.select(where, limit=gallery.count(where))


def require_held(gallery: Gallery, ids: Sequence[str]) -> Sequence[str]:
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
