"""JSON with a checksum of itself, so that damage by a disk or a copy is found.

The checksum is of the values and not of how they are laid out: a file may be indented anew. It protects against
accidents, not against people.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

CHECKSUM = "crc32"


def seal(values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return values as JSON, their checksum last."""
    plain = json.loads(json.dumps(values))  # as they will be read: tuples as lists, and names as text
    return json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=indent)


def unseal(text: str | bytes) -> dict[str, Any]:
    """Return the values in JSON; text without a checksum, as earlier versions wrote it, is taken as it is.

    Raises:
        ValueError: It is no JSON of values by name, or they are not as they were written.
    """
    try:
        values = json.loads(text)
    except RecursionError:
        raise ValueError("values within one another, too deep to read") from None
    if not isinstance(values, dict):
        raise ValueError("no values by name")
    checksum = values.pop(CHECKSUM, None)
    if checksum not in (None, _checksum(values)):
        raise ValueError("values that are not as they were written")
    return values


def _checksum(values: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(values).encode()):08x}"
