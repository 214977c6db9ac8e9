"""Flags, classes and their arguments as the library's source code has them: importing it takes seconds, torch most."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

PACKAGES = ("reseen.datasets", "reseen.losses", "reseen.training")
"""Packages whose public classes are named on the command line: data sets, losses, candidate sources."""
OPEN = "Benchmark"
"""A base class that is no choice itself, though nothing in it is abstract."""


class Group:
    """The kind of a flag that stands for several settings, each a flag of its own."""


@dataclass(frozen=True)
class Definition:
    """A function or class in the source: the module where it stands, and its syntax tree."""

    module: str
    node: ast.FunctionDef | ast.ClassDef

    @property
    def is_settings(self) -> bool:
        """Whether it is a dataclass, which stands for itself and not for its subclasses."""
        return any("dataclass" in ast.unparse(decorator) for decorator in self.node.decorator_list)


@dataclass(frozen=True)
class Named:
    """The kind of a flag whose value names a class.

    Attributes:
        base: What the class is: this one or a subclass.
        null: Whether there may be none.
        words: Values that name no class.
        several: Whether the flag takes a list.
    """

    base: Definition
    null: bool = False
    words: tuple[str, ...] = ()
    several: bool = False


def definition(module: str, name: str) -> Definition | None:
    """Return where a name that a module has is defined; None where that is not a function or class of this library."""
    for node in _statements(module):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return Definition(module, node)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and ast.unparse(node.targets[0]) == name:
            return definition(module, node.value.id)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("reseen"):
            for imported in node.names:
                if (imported.asname or imported.name) == name:
                    return definition(node.module, imported.name)
    return None


def flags_of(owner: Definition, within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the flags of a function or class: names as in ``schedule.epochs``, and their kinds.

    A kind is `Group`, a `Named`, or the type; None where this is not one of Python's own.
    """
    for name, annotation in _parameters(owner):
        if name == "resolved":
            continue
        kind = _kind(annotation, owner.module)
        if not (isinstance(annotation, ast.Name) and isinstance(kind, Named) and kind.base.is_settings):
            yield f"{within}{name}", kind
        elif name == "options":
            yield from flags_of(kind.base)
        else:
            yield f"{within}{name}", Group
            yield from flags_of(kind.base, f"{within}{name}.")


def required(owner: Definition) -> tuple[list[str], list[str]]:
    """Return the words and the flags that a verb cannot do without, each in the order of the parser."""
    node = owner.node
    if isinstance(node, ast.ClassDef):
        fields = [field for field in node.body if isinstance(field, ast.AnnAssign) and field.value is None]
        above = [field for base in _bases(owner) for field in required(base)[1]]
        return [], [*above, *(ast.unparse(field.target) for field in fields)]
    takes = node.args
    places = [*takes.posonlyargs, *takes.args]
    needed = [argument for argument, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if not default]
    needed = [*places[: len(places) - len(takes.defaults)], *needed]
    words: list[str] = []
    flags: list[str] = []
    for argument in needed:
        if argument in takes.posonlyargs:
            words.append(argument.arg)
        elif argument.arg == "options" and argument.annotation is not None:  # The parser takes these first.
            flags[:0] = required(_kind(argument.annotation, owner.module).base)[1]
        else:
            flags.append(argument.arg)
    return words, flags


def class_names(base: Definition) -> list[str]:
    """Return the names of the library's classes that can stand for a base class."""
    return [name for package in PACKAGES for name in _public(package) if class_of(name, base)]


def class_of(name: str, base: Definition) -> Definition | None:
    """Return the class of this library that a name stands for where one of a base class is wanted; None without."""
    found = (definition(package, name) for package in PACKAGES if name in _public(package))
    return next((kind for kind in found if kind and _can_stand_for(kind, base)), None)


def _can_stand_for(kind: Definition, base: Definition) -> bool:
    return kind.node.name != OPEN and _is_a(kind, base) and not any(_methods(kind).values())


def _is_a(kind: Definition, base: Definition) -> bool:
    return kind == base or any(_is_a(above, base) for above in _bases(kind))


@functools.cache
def is_class(name: str) -> bool:
    """Return whether a class of this name is defined anywhere in the library."""
    start = f"\nclass {name}".encode()
    texts = (path.read_bytes() for path in Path(__file__).parents[1].rglob("*.py"))
    return any(start + end in text for text in texts for end in (b"(", b":"))


def _constructor(kind: Definition) -> Definition | None:
    """Return a class's own ``__init__``, or that of the nearest class of this library above it; None without."""
    for node in kind.node.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return Definition(kind.module, node)
    return next(filter(None, map(_constructor, _bases(kind))), None)


def _parameters(owner: Definition) -> Iterator[tuple[str, ast.expr]]:
    node: ast.AST = owner.node
    if isinstance(node, ast.ClassDef) and (made_by := _constructor(owner)):
        node = made_by.node
    if isinstance(node, ast.FunctionDef):
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.annotation is not None:
                yield argument.arg, argument.annotation
        return
    for above in _bases(owner):
        yield from _parameters(above)
    if owner.is_settings:
        for field in owner.node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id, field.annotation


def _kind(annotation: ast.expr, module: str) -> Any:
    named, others = [], []
    for part in _parts(annotation):
        inside = part
        if isinstance(part, ast.Subscript) and ast.unparse(part.value) in ("list", "Sequence"):
            inside = part.slice
        if isinstance(inside, ast.Name) and (base := definition(module, inside.id)):
            named.append((base, inside is not part))
        else:
            others.append(_type(part))
    if len(named) != 1 or not all(kind is NoneType or get_origin(kind) is Literal for kind in others):
        return _type(annotation)
    ((base, several),) = named
    return Named(base, NoneType in others, tuple(word for kind in others for word in get_args(kind)), several)


def _parts(annotation: ast.expr) -> Iterator[ast.expr]:
    """Yield the types that an annotation joins by ``|``."""
    if isinstance(annotation, ast.BinOp):
        yield from _parts(annotation.left)
        yield from _parts(annotation.right)
    else:
        yield annotation


def _type(annotation: ast.expr) -> Any:
    """Return an annotation's type; None where it is made of more than Python's own and ``Literal``."""
    try:
        kind = eval(ast.unparse(annotation), {"Literal": Literal})  # Our own source.
    except (NameError, TypeError):
        return None
    return NoneType if kind is None else kind


def _bases(kind: Definition) -> list[Definition]:
    """Return the classes of this library from which one derives."""
    bases = kind.node.bases if isinstance(kind.node, ast.ClassDef) else []
    named = (definition(kind.module, base.id) for base in bases if isinstance(base, ast.Name))
    return [base for base in named if base]


def _methods(kind: Definition) -> dict[str, bool]:
    """Return the methods of a class, also those from above, and whether each is abstract."""
    methods: dict[str, bool] = {}
    for above in reversed(_bases(kind)):
        methods |= _methods(above)
    for node in kind.node.body:
        if isinstance(node, ast.FunctionDef):
            methods[node.name] = "abstractmethod" in map(ast.unparse, node.decorator_list)
    return methods


def _public(package: str) -> list[str]:
    """Return the names that a package imports from its modules for whoever imports it, in the order of these."""
    return [name.name for node in _statements(package) if isinstance(node, ast.ImportFrom) for name in node.names]


@functools.cache
def _statements(module: str) -> Sequence[ast.stmt]:
    """Return the statements of a module of this library, also those for type checkers, without importing it."""
    root, *names = module.split(".")
    folder = Path(__file__).parents[1].joinpath(*names)
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    try:
        body = ast.parse(path.read_bytes()).body if root == "reseen" else []
    except (OSError, SyntaxError):  # Installed without its source: the parser tells.
        return []
    return [inner for node in body for inner in (node.body if isinstance(node, ast.If) else [node])]
