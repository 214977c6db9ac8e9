"""Conversion of items and filters to Milvus rows and expressions, and back.

Milvus has no absent values: an absent text is empty, and a time has a column beside it that says whether it is known.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reseen.gallery.backends.base import Groups
from reseen.gallery.records import Item, Label, Where
from reseen.gallery.rows import Rows

COLUMNS = ["id", "identity", "camera", "track", "time", "timed", "source", "extra"]
"""What makes an `Item`."""


def encoded(label: Label | None) -> str:
    """Return a label as text that keeps 7, "7" and nothing apart."""
    return "" if label is None else json.dumps(label)


def decoded(text: str) -> Any:
    """Return the label that `encoded` wrote."""
    return json.loads(text) if text else None


def as_time(time: float | None) -> dict[str, Any]:
    """Return a time's two columns."""
    return {"time": 0.0 if time is None else time, "timed": time is not None}


def row(rows: Rows, n: int) -> dict[str, Any]:
    """Return one row as Milvus keeps it."""
    return facts(rows, n) | {"vector": rows.vectors[n].tolist()}


def facts(rows: Rows, n: int) -> dict[str, Any]:
    """Return one row as Milvus keeps it, but for its vector."""
    picture = rows.pictures[n]
    made = {
        "id": rows.ids[n],
        "identity": encoded(rows.identities[n]),
        "camera": encoded(rows.cameras[n]),
        "track": encoded(rows.tracks[n]),
        "source": encoded(rows.sources[n]),
        "extra": rows.extras[n],
        "picture": "" if picture is None else base64.b64encode(picture).decode(),
    }
    return made | as_time(rows.times[n])


def as_item(columns: Mapping[str, Any]) -> Item:
    """Return a row of Milvus as an item."""
    return Item(
        columns["id"],
        identity=decoded(columns["identity"]),
        camera=decoded(columns["camera"]),
        track=decoded(columns["track"]),
        time=columns["time"] if columns["timed"] else None,
        source=decoded(columns["source"]),
        extra=json.loads(columns["extra"]),
    )


def condition(where: Where, answered: Groups | None = None) -> str:
    """Return what is asked for, less the groups that have been answered, in Milvus's language."""
    asked = []
    for column, labels in (("identity", where.identities), ("camera", where.cameras)):
        if labels is not None:
            asked.append(f"{column} in {quoted(labels)}")
    if where.named:
        asked.append('identity != ""')
    if where.since is not None or where.until is not None:
        asked.append("timed == true")
    if where.since is not None and where.since != -np.inf:
        asked.append(f"time >= {where.since!r}")
    if where.until is not None:
        asked.append(f"time < {where.until!r}")
    if answered is not None and answered.labels:
        asked.append(f"{answered.by} not in {quoted(answered.labels)}")
    if answered is not None and answered.ids:
        asked.append(f"id not in {json.dumps(list(answered.ids))}")
    return " and ".join(asked)


def quoted(labels: Sequence[Label | None]) -> str:
    """Return labels as a list in Milvus's language: as JSON once for the label, and once for the text it is kept as."""
    return f"[{', '.join(json.dumps(encoded(label)) for label in labels)}]"
