"""Descriptions of objects: as plain values, from which they are made again, and as tables of a notebook."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypeVar

Kind = TypeVar("Kind", bound="KeepsArguments")


class KeepsArguments:
    """Base class of objects that keep what their class was called with.

    Attributes:
        arguments: Positional and named arguments, of whichever subclass was called.
    """

    arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls: type[Kind], *args: Any, **named: Any) -> Kind:
        """Keep the arguments of the class."""
        made = super().__new__(cls)
        made.__dict__["arguments"] = (args, named)
        return made


def described(value: Any) -> Any:
    """Return a value as JSON's own types: a data set or loss as its class and the arguments it was made with.

    Raises:
        ValueError: It cannot be made again from plain values, as a data set of a class that no module has.
    """
    if isinstance(value, KeepsArguments):
        kind, (positional, named) = type(value), value.arguments
        bound = inspect.signature(kind).bind(*positional, **named)
        bound.apply_defaults()
        return {
            "class_path": class_path_of(kind),
            "init_args": {name: described(v) for name, v in bound.arguments.items()},
        }
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


def class_path_of(kind: type) -> str:
    """Return the shortest path by which a class can be imported.

    Raises:
        ValueError: No module has it.
    """
    parts, base = kind.__module__.split("."), KeepsArguments in kind.__bases__  # a base class is made of anything
    for length in range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        if module != "__main__" and getattr(sys.modules.get(module), kind.__name__, None) is kind and not base:
            return f"{module}.{kind.__name__}"
    raise ValueError(
        "expected data or a loss of a class that another process can import, got "
        f"{kind.__module__}.{kind.__qualname__}; use a class of reseen, or put your own into a module"
    )


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as notebooks show it; everything is escaped."""

    def row(cells: Sequence[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><caption>{escape(title)}</caption><thead>{row(columns, 'th')}</thead><tbody>{body}</tbody></table>"
