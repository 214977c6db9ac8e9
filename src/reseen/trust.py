"""Trust in files: classes that a file may name, and files that may be read without a digest.

A checkpoint names its backbone and network, and a configuration its data set and its losses, by class. Making one
imports its module, which runs that module's code. So from a file only this library's classes are taken, and those of
packages that the user has named: in code, after ``--trust`` on the command line, or in the environment's
``RESEEN_TRUST`` (separated by commas), which reaches the processes that a verb starts as well.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from reseen.errors import TrustError

CLASS_KEYS = frozenset(
    (
        *("class_path", "backbone", "network", "data", "source", "sources", "target", "test"),
        *("loss", "identity_loss", "candidates", "reranking"),
    )
)
"""The settings whose values are names of classes, or of functions."""


def trusted_by_environment() -> list[str]:
    """Return the packages and modules that RESEEN_TRUST names."""
    return [name for name in os.environ.get("RESEEN_TRUST", "").split(",") if name]


def require_trusted(names: Iterable[str], *, source: object, trust: Iterable[str] = ()) -> None:
    """Make sure that classes are this library's, or of packages that the user has named.

    Args:
        names: ``package.module.Class``, or a name without dots, which is looked for in this library only; a backbone
            may also be ``timm:NAME``, of a network that timm itself builds.
        source: The file that names them, for the error.
        trust: Packages or modules, beside those in RESEEN_TRUST.

    Raises:
        TrustError: One is of another package.
    """
    packages = {"reseen", *trust, *trusted_by_environment()}
    for name in names:
        if name.startswith("timm:"):
            if ":" in (rest := name.removeprefix("timm:")) or "/" in rest:
                raise TrustError(
                    f"expected a network of timm's own in {source}, got {name}, which is fetched from elsewhere; "
                    "name it on the command line, or in code, where you know it"
                )
        elif "." in name and not any(name == package or name.startswith(f"{package}.") for package in packages):
            package = name.partition(".")[0]
            raise TrustError(
                f"expected classes of this library in {source}, got {name[:100]}; making it runs that package's code: "
                f"where you know it, say --trust {package[:40] or 'PACKAGE'} (in code: trust=[...])"
            )


def named_classes(settings: Any) -> Iterator[str]:
    """Yield the names of classes in settings as JSON or YAML gives them, wherever they stand."""
    waiting, seen = [settings], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen or not isinstance(value, (dict, list, tuple)):
            continue
        seen.add(id(value))  # YAML can hold itself, or one thing a million times
        if not isinstance(value, dict):
            waiting += value
            continue
        for key, held in value.items():
            # A key may be written with those above it, and end in + where it adds to a list.
            if str(key).rpartition(".")[2].rstrip("+") in CLASS_KEYS:
                yield from (name for name in (held if isinstance(held, list) else [held]) if isinstance(name, str))
            waiting.append(held)


def import_named(name: str) -> Any:
    """Return what ``package.module.name`` names, importing its module: the caller has seen to it that it is trusted.

    Raises:
        ImportError: It is no such name, or there is nothing of it.
    """
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", name):
        raise ImportError(f"expected package.module.name, got {name[:100]!r}")
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (AttributeError, ValueError) as error:
        raise ImportError(str(error)) from error


def import_class(name: str, base: type[Any], *, expected: str) -> type[Any]:
    """Return the class ``package.module.Class``, a subclass of ``base`` of which objects can be made.

    Args:
        name: The class.
        base: What it must be.
        expected: What the name might have been, for the error.

    Raises:
        ValueError: There is no such class, it is of another kind, or it is abstract.
    """
    try:
        kind = import_named(name)
    except ImportError as error:
        raise ValueError(f"expected {expected}, got {name[:100]!r}") from error
    if not (isinstance(kind, type) and issubclass(kind, base)):
        type_name = kind.__name__ if isinstance(kind, type) else type(kind).__name__
        raise ValueError(f"expected {name} to be a {base.__name__}, got {type_name}")
    if inspect.isabstract(kind):
        raise ValueError(f"expected {name} to be a whole {base.__name__}, got a class with methods missing")
    return kind


def may_be_unchecked() -> bool:
    """Return whether the environment's RESEEN_UNCHECKED allows files without a digest."""
    return os.environ.get("RESEEN_UNCHECKED", "") not in ("", "0", "false")
