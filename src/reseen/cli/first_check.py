"""First check of a verb's flags, against its source code: importing a verb takes seconds, torch most of them.

What is found here the parser would find as well, and say in the same words; what is not found here, such as the
arguments of a class that is named, it judges later.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from reseen.cli.mistakes import does_not_fit, unknown_flag

OF_ALL_VERBS = ("config", "help", "print_config")
OPEN = "Benchmark"
"""A class of settings that stands for others, which take arguments of their own."""


def wrong_flag(module: str, function: str, words: Sequence[str]) -> str | None:
    """Return a line about the first flag that a verb does not take, or whose value it does not take.

    Args:
        module: The verb's module, as in ``reseen.commands.train``; it is not imported.
        function: The verb's function in it.
        words: What stands behind the verb, without the flags common to all verbs.

    Returns:
        None where nothing is wrong or only the parser can tell.
    """
    verb = definition(module, function)
    if verb is None:
        return None
    flags = dict(flags_of(verb))
    if "terms" in flags and (more := definition("reseen.cli.loss_flags", "loss_flags")):
        flags |= flags_of(more)
    for number, word in enumerate(words):
        if word == "--":  # What follows are no flags.
            return None
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("+", "")  # `--terms+` adds one.
        if not flag.startswith("--") or name in OF_ALL_VERBS or name.endswith(".help"):
            continue
        owner = next((above for above in _upwards(name) if above in flags), None)
        if owner is None or (owner != name and flags[owner] is Group):
            return unknown_flag(flag, ["--config", *(f"--{known}" for known in flags)])
        if owner == name and (equals or number + 1 < len(words)):
            given = value if equals else words[number + 1]
            if not given.startswith("--") and not _may_be(given, flags[name]):
                return does_not_fit(name, given, flags[name])
    return None


class Group:
    """The kind of a flag that stands for several settings, each a flag of its own."""


@dataclasses.dataclass(frozen=True)
class Definition:
    """A function or class in the source: the module where it stands, and its syntax tree."""

    module: str
    node: ast.FunctionDef | ast.ClassDef


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
    """Yield the flags of a function, or of a class of settings: names as in ``schedule.epochs``, and their types.

    The type is `Group` for settings, and None where it is not one of Python's own.
    """
    for name, annotation in _parameters(owner):
        if name == "resolved":
            continue
        group = isinstance(annotation, ast.Name) and definition(owner.module, annotation.id)
        if not group or not _is_dataclass(group) or group.node.name == OPEN:
            yield f"{within}{name}", _type(annotation)
        elif name == "options":
            yield from flags_of(group)
        else:
            yield f"{within}{name}", Group
            yield from flags_of(group, f"{within}{name}.")


def _parameters(owner: Definition) -> Iterator[tuple[str, ast.expr]]:
    node = owner.node
    if isinstance(node, ast.FunctionDef):
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.annotation is not None:
                yield argument.arg, argument.annotation
        return
    for base in node.bases:
        if isinstance(base, ast.Name) and (above := definition(owner.module, base.id)):
            yield from _parameters(above)
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            yield field.target.id, field.annotation


@functools.cache
def _statements(module: str) -> Sequence[ast.stmt]:
    """Return the statements of a module of this library, also those for type checkers, without importing it."""
    folder = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError):  # Installed without its source: the parser tells.
        return []
    return [inner for node in body for inner in (node.body if isinstance(node, ast.If) else [node])]


def _is_dataclass(owner: Definition) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in owner.node.decorator_list)


def _type(annotation: ast.expr) -> Any:
    """Return an annotation's type; None where it is made of more than Python's own and ``Literal``."""
    try:
        return eval(ast.unparse(annotation), {"Literal": Literal})  # Our own source.
    except (NameError, TypeError):
        return None


def _upwards(name: str) -> Iterator[str]:
    """Yield a flag's name and the names of what it is in: ``a.b.c``, ``a.b``, ``a``."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _may_be(word: str, kind: Any) -> bool:
    """Return whether a word may be a value of a type; True where this cannot be told."""
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if not all(part in (int, float, bool, type(None)) or get_origin(part) is Literal for part in kinds):
        return True
    try:
        value = yaml.safe_load(word)
    except (yaml.YAMLError, ValueError):  # ValueError: more digits than Python reads.
        return True
    if isinstance(value, str):
        allowed = [text for part in kinds if get_origin(part) is Literal for text in get_args(part)]
        is_number = any(part in (int, float) for part in kinds) and _is_number(value)
        return value in allowed or is_number
    return True


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
