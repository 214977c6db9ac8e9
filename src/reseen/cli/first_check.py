"""First check of a verb's flags, against the library's source code: importing a verb takes seconds, torch most of them.

What is found here the parser would find as well, and say in the same words; what is not found here, such as a class of
one's own, it judges later.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import takewhile
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from reseen.cli.environment import flag_values
from reseen.cli.mistakes import data_of, does_not_fit, no_argument, no_class, none_given, unknown_flag
from reseen.cli.sources import (
    OPEN,
    Definition,
    Group,
    Named,
    class_names,
    class_of,
    definition,
    flags_of,
    is_class,
    required,
)
from reseen.recipes.defaults import DEFAULT_LOSSES, LOSS_FLAGS
from reseen.trust import trusted_by_environment

OF_ALL_VERBS = ("config", "print_config")
HELP = re.compile(r"-h|--([\w.]+\.)?help(=.*)?")
IN_FULL = re.compile(r"--.*\.(class_path|init_args|dict_kwargs)\b.*")
"""A class or its arguments given in another way, as in ``--loss.init_args.beta``."""


def wrong_flag(module: str, function: str, words: Sequence[str]) -> str | None:
    """Return a line about the first flag that a verb does not take, or whose value it does not take.

    Args:
        module: The verb's module, as in ``reseen.commands.train``; it is not imported.
        function: The verb's function in it.
        words: What stands behind the verb, without the flags common to all verbs.

    Returns:
        None where nothing is wrong or only the parser can tell.
    """
    words = list(takewhile(lambda word: word != "--", words))  # What follows are no flags.
    verb = definition(module, function)
    if verb is None or any(map(HELP.fullmatch, words)):
        return None
    flags = dict(flags_of(verb))
    if "terms" in flags and (more := definition("reseen.cli.loss_flags", "loss_flags")):
        flags |= flags_of(more)
    if _takes_others() or any(map(IN_FULL.fullmatch, words)):
        flags = {name: None if isinstance(kind, Named) else kind for name, kind in flags.items()}
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("+", "")  # `--terms+` adds one.
        if flag.startswith("--") and name not in OF_ALL_VERBS:
            given = value if equals else "".join(words[number + 1 : number + 2])
            if line := _wrong(name, "" if given.startswith("--") else given, flags, words):
                return line
    return None


def missing(module: str, function: str, words: Sequence[str]) -> str | None:
    """Return a line about words and flags that a verb cannot do without; the arguments are those of ``wrong_flag``."""
    verb = definition(module, function)
    told_otherwise = ("--config", "--print_config")
    if verb is None or any(word == "--" or word.startswith(told_otherwise) or HELP.fullmatch(word) for word in words):
        return None
    names, flags = required(verb)
    values = [before.startswith("--") and "=" not in before for before in ("", *words)]
    if any(is_value and word.startswith("--") for word, is_value in zip((*words, "--"), values, strict=True)):
        return None  # A flag without its value.
    bare = [word for word, is_value in zip(words, values, strict=False) if not (is_value or word.startswith("--"))]
    if len(bare) > len(names):
        return None
    absent = [f"--{flag}" for flag in flags if not any(word.startswith(f"--{flag}") for word in words)]
    absent = [*(name.upper() for name in names[len(bare) :]), *absent]
    return none_given(absent) if absent else None


def _wrong(
    name: str,
    value: str,
    flags: Mapping[str, Any],
    words: Sequence[str],
    within: str = "",
    owner: Definition | None = None,
) -> str | None:
    """Return a line about one flag, if it is wrong.

    Args:
        name: The flag; what of it stands behind ``within``.
        value: What it is given, empty for nothing.
        flags: Those that there are, and their kinds.
        words: All of the command line.
        within: The flag that names the class whose argument this is, and a dot.
        owner: That class.
    """
    known = next((above for above in _upwards(name) if above in flags), "")
    kind, path = flags.get(known), f"{within}{known}"
    if not known or (known != name and kind is Group):
        if owner is None:
            return unknown_flag(f"--{name}", ["--config", *(f"--{flag}" for flag in flags)])
        if "." in name:
            return None
        return no_argument(name, within[:-1], owner.node.name, [flag for flag in flags if "." not in flag])
    if isinstance(kind, Named) and known == name:
        return _wrong_class(path, kind, words)
    if isinstance(kind, Named):
        named = _class_named(path, kind, words)
        inside = name.removeprefix(f"{known}.")
        return _wrong(inside, value, dict(flags_of(named)), words, f"{path}.", named) if named else None
    if known == name and value and not _may_be(value, kind):
        return does_not_fit(path, value, kind)
    return None


def _wrong_class(path: str, kind: Named, words: Sequence[str]) -> str | None:
    """Return a line about the name of a class that a flag does not take."""
    values, base = _values(path, kind, words), kind.base
    if base.is_settings or len(values) != 1 or values[0] in kind.words or class_of(values[0], base):
        return None
    (word,) = values
    is_path = base.node.name == OPEN and data_of(word, path)
    is_word = re.fullmatch(r"[A-Za-z_][\w-]*", word) and isinstance(yaml.safe_load(word), str)
    names = class_names(base) if is_path or is_word else []
    if not names or is_class(word):
        return None
    return no_class(word, path, base.node.name, names, null=kind.null)


def _class_named(path: str, kind: Named, words: Sequence[str]) -> Definition | None:
    """Return the class whose arguments the flags behind a flag are; None where the source does not tell."""
    files = [number for number, word in enumerate(words) if word.partition("=")[0] == "--config"]
    # What is named before a file may give way to what the file names.
    values = _values(path, kind, words[files[-1] :] if files else words)
    if len(values) == 1:
        return class_of(values[0], kind.base)
    if kind.base.is_settings:
        return kind.base
    if values or files or kind.several:
        return None
    if path in LOSS_FLAGS and not any(word.startswith("--terms") for word in words):
        return definition(*DEFAULT_LOSSES[LOSS_FLAGS[path]].rsplit(".", 1))
    return kind.base if kind.base.node.name == OPEN else None


def _values(path: str, kind: Named, words: Sequence[str]) -> list[str]:
    flag = f"--{path}{'+' if kind.several else ''}"
    return [value for name, value in flag_values(words) if name == flag]


def _takes_others() -> bool:
    """Return whether classes of other packages than this one may be named, as far as there are such packages."""
    packages = {name.partition(".")[0] for name in trusted_by_environment()} - {"reseen"}
    return any(name in sys.modules or find_spec(name) for name in packages)


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
