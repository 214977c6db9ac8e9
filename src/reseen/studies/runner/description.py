"""Arguments of a study as plain values, from which another process rebuilds them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reseen.types import Benchmark


def described(value: Any) -> Any:
    """Return a value as JSON's own types: a data set as its class and the arguments it was made with.

    Raises:
        ValueError: It cannot be made again from plain values, as a data set of a class that no module has.
    """
    if isinstance(value, Benchmark):
        kind, (positional, named) = type(value), value.arguments
        bound = inspect.signature(kind).bind(*positional, **named)
        bound.apply_defaults()
        return {"class_path": _path_of(kind), "init_args": {name: described(v) for name, v in bound.arguments.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: described(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"expected plain values, paths and data sets, which another process can make again, got {value!r}")


def _path_of(kind: type) -> str:
    """Return the shortest path by which a class can be imported."""
    parts = kind.__module__.split(".")
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        if module != "__main__" and getattr(sys.modules.get(module), kind.__name__, None) is kind and kind != Benchmark:
            return f"{module}.{kind.__name__}"
    raise ValueError(
        f"expected data of a class that another process can import, got {kind.__module__}.{kind.__qualname__}; "
        "use a class of reseen.datasets, or put your own into a module"
    )
