"""Error messages for wrong arguments: expected, got, and the nearest valid spelling.

jsonargparse's messages name Python's types; here they are read for where the mistake is, and said anew from the verb's
signature.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from reseen.cli.environment import flag_values, is_there
from reseen.cli.sources import class_names, definition
from reseen.errors import TrustError
from reseen.trust import require_trusted
from reseen.types import Benchmark

Source = Callable[..., Any] | tuple[Callable[..., Any], ...]
TABLES = (".csv", ".tsv", ".parquet", ".pq")
OTHER_WORDS = {"lr": "schedule.learning_rate", "batch_size": "batches.identities"}
YES_AND_NO = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", Path: "a path"}

# Where a message of jsonargparse says that the mistake lies, from the outside inwards.
STEP = re.compile(r"Parser key \"([^\"]+)\":|Problem with given class_path '([^']+)':")
NO_CLASS = re.compile(r"Expected a dot import path string: (\S*)")
NO_OPTION = re.compile(r"Option '([^']*)' is not accepted")
NO_OPTION_OF_GROUP = re.compile(r"Group '([^']*)' does not accept option '([^']*)'")
NO_IMPORT = re.compile(r"(No module named .*|module .* has no attribute .*|Import path does not correspond .*)")
MISSING = re.compile(r"following arguments are required: (.*)")
NO_VALUE = re.compile(r"argument (\S+): expected")
UNKNOWN = re.compile(r"unrecognized arguments: (.*)", re.DOTALL)
GIVEN = re.compile(r"(?:Got|Given) value: (.*)")


def explain(message: str, command: Source, words: Sequence[str]) -> str:
    """Return one line about a mistake.

    Args:
        message: What jsonargparse says.
        command: The verb's function, or several that have its flags together.
        words: What stood on the command line.
    """
    if match := UNKNOWN.search(message):
        return _unknown(match[1].split()[0], command)
    if match := NO_OPTION_OF_GROUP.search(message):
        return _unknown(f"--{match[1]}.{match[2]}", command)
    if match := NO_VALUE.search(message):
        return f"expected a value after {match[1]}, got none"
    owner: Source = command
    path = keys = ""
    for key, class_path in STEP.findall(message):
        if key:
            path, keys = f"{path}.{key}".strip("."), f"{keys}.{key}".strip(".")
        elif found := _imported(class_path):
            owner, keys = found, ""
    if "Unable to load config" in message:
        path = path.partition(".")[0]
        return f"expected a YAML file of settings for --{path}, got {_word_after(f'--{path}', words) or 'another'}"
    if match := MISSING.search(message):
        return _missing(match[1], path, owner)
    kind = _annotation(owner, keys) if keys else None
    if match := NO_OPTION.search(message):
        return _no_option(match[1], path, owner, command)
    if match := NO_CLASS.search(message):
        return _no_class(match[1], path, kind)
    if match := NO_IMPORT.search(message):
        word = _word_after(f"--{path}", words)
        return _not_importable(match[1], path, word, kind or _annotation(command, path))
    if kind is None:
        return plain_message(message)
    value = _value(message, f"--{path}", words)
    if _class_in(kind) is Benchmark and data_of(value, path):
        return _no_class(value, path, kind)
    return does_not_fit(path, value, kind)


def does_not_fit(name: str, value: str, kind: Any) -> str:
    """Return a line about a flag's value that is not of its type."""
    return _with_hint(f"expected {type_in_words(kind)} for --{name}, got {value}", meant(value, kind))


def type_in_words(kind: Any) -> str:
    """Return a type in words, as in ``a whole number or null``."""
    if kind in SCALARS:
        return SCALARS[kind]
    if kind is None or kind is type(None):
        return "null"
    if isinstance(kind, type) and issubclass(kind, str):
        return str(kind.__doc__)  # a word of a certain form, which the type describes
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_in_words(part) for part in inside))
    if origin is Literal:
        return f"one of {', '.join(map(str, inside))}" if len(inside) > 1 else str(inside[0])
    if _is_list(origin):
        element = type_in_words(inside[0]) if inside else "a value"
        return f"a list in brackets, each {element},"
    if origin is dict or origin is Mapping:
        return "names with values, as in {name: value},"
    return f"settings of a {kind.__name__}" if isinstance(kind, type) else "another value"


def meant(value: str, kind: Any) -> str | None:
    """Return the valid value nearest to a wrong one; None where none is near."""
    parts = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if type(None) in parts and value.lower() in ("none", "off", "no", "never"):
        return "null"
    for part in parts:
        if get_origin(part) is Literal and (near := nearest_word(value, map(str, get_args(part)))):
            return near
        if part is bool and value.lower() in YES_AND_NO:
            return YES_AND_NO[value.lower()]
        if part in (int, float) and (number := re.match(r"-?\d{1,15}(\.\d+)?(?!\d)", value)):
            return number[0] if part is float else str(round(float(number[0])))
        if _is_list(get_origin(part)) and not value.startswith("["):
            (element, *_) = (*get_args(part), str)
            return f"[{meant(value, element) or value}]"
    return None


def wrong_value(owner: Source, settings: Mapping[str, Any], within: str = "") -> str | None:
    """Return a line about what jsonargparse lets pass: null without a null in its type, one value for a group."""
    for name, parameter in _parameters(owner).items():
        value, kind = settings.get(name), parameter.annotation
        if value is None and name in settings and parameter.default is not None and not _has_null(kind):
            return f"expected {type_in_words(kind)} for --{within}{name}, got null"
        if name in settings and dataclasses.is_dataclass(kind) and not isinstance(value, (Mapping, types.NoneType)):
            return f"expected settings by name for --{within}{name}, got {value!r}"
        group = value if isinstance(kind, type) and isinstance(value, Mapping) and "class_path" not in value else {}
        if group and (line := wrong_value(kind, group, f"{within}{name}.")):
            return line
    return None


def _has_null(kind: Any) -> bool:
    return kind in (None, type(None), Any, inspect.Parameter.empty) or any(map(_has_null, get_args(kind)))


def nearest_word(word: str, among: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the word that is most like another, whatever their case and dashes; None where none is near.

    Args:
        word: The one that was not known.
        among: Those that are.
        likeness: How like one must be, from 0 to 1, by `difflib`.
    """

    def folded(text: str) -> str:
        return text.lower().replace("-", "_")

    spelled = {folded(name): name for name in among}
    near = get_close_matches(folded(word), spelled, n=1, cutoff=likeness)
    if not near:  # A word that is cut off: AdaSP.
        near = [name for name in spelled if name.startswith(folded(word))][:1] if word else []
    return spelled[near[0]] if near else None


def flags_of(command: Source, within: str = "") -> list[str]:
    """Return the flags of a verb, those of grouped settings included, as in ``--schedule.epochs``."""
    flags = []
    for parameter in _parameters(command).values():
        if parameter.kind is parameter.POSITIONAL_ONLY or parameter.name == "resolved":
            continue
        name, kind = f"{within}{parameter.name}", parameter.annotation
        flags.append(f"--{name}")
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            flags += flags_of(kind, f"{name}.")
    return flags


def _unknown(word: str, command: Source) -> str:
    parameters = _parameters(command)
    if not word.startswith("-"):
        places = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
        ahead = f"{' '.join(name.upper() for name in places)} and then flags" if places else "flags"
        hint = data_of(word, "data") if "data" in parameters else None
        return _with_hint(f"expected {ahead}, got the word {word}", hint)
    return unknown_flag(word, ["--config", *flags_of(command)])


def unknown_flag(word: str, flags: Sequence[str]) -> str:
    """Return a line about a flag that is none of a verb's."""
    return _with_hint(f"expected a flag of this verb, got {word}", _nearest_flag(word, flags))


def _nearest_flag(word: str, flags: Sequence[str]) -> str | None:
    """Return the flag that a wrong one is most like: by its whole name, its last part, or a word of that."""
    name = word.lstrip("-").replace("-", "_")
    if len(name) < 2:
        return None
    by_end = [flag for flag in flags if flag.rpartition(".")[2] == name or flag == f"--{OTHER_WORDS.get(name)}"]
    if by_end:
        return by_end[0]
    last = name.rpartition(".")[2]
    whole = {flag.removeprefix("--"): flag for flag in flags}
    ends = {flag.rpartition(".")[2]: flag for flag in flags if "." in flag}
    parts = {part: flag for end, flag in ends.items() for part in end.split("_")}
    for among, looked_for, likeness in ((whole, name, 0.7), (ends, last, 0.7), (parts, last, 0.8)):
        if near := nearest_word(looked_for, among, likeness):
            return among[near]
    return None


def _missing(names: str, path: str, owner: Source) -> str:
    parameters = _parameters(owner)
    places = {p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY}
    inside = f"--{path}." if path else "--"
    listed = [name.upper() if name in places else f"{inside}{name}" for name in names.replace("'", "").split(", ")]
    return none_given(listed, _name(owner) if path else None)


def none_given(listed: Sequence[str], owner: str | None = None) -> str:
    """Return a line about words and flags that are not there, of a class or of a verb."""
    return f"expected {' and '.join(listed)}{f' for {owner}' if owner else ''}, got none"


def _no_option(option: str, path: str, owner: Source, command: Source) -> str:
    if not path:
        return _unknown(f"--{option}", command)
    places = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    accepted = [name for name, parameter in _parameters(owner).items() if parameter.kind not in places]
    return no_argument(option, path, _name(owner), accepted if owner is not command else [])


def no_argument(option: str, path: str, owner: str, accepted: Sequence[str]) -> str:
    """Return a line about what is no argument of a class.

    Args:
        option: The argument.
        path: The flag that names the class, without its dashes.
        owner: The class.
        accepted: The arguments that it has.
    """
    if owner == Benchmark.__name__:
        return f"expected a data set before --{path}.{option}, as in --{path} Table, got none"
    near = nearest_word(option, accepted)
    takes = f"an argument of {owner} ({', '.join(accepted) or 'none'})"
    return _with_hint(f"expected {takes}, got --{path}.{option}", near and f"--{path}.{near}")


def _no_class(word: str, path: str, kind: Any) -> str:
    base = _class_in(kind)
    found = definition(base.__module__, base.__name__) if base is not None else None
    names = class_names(found) if found is not None else []
    return no_class(word, path, _name(base), names, null=type(None) in get_args(kind))


def no_class(word: str, path: str, base: str, names: Sequence[str], *, null: bool) -> str:
    """Return a line about what is no class that a flag takes.

    Args:
        word: What was given.
        path: The flag, without its dashes.
        base: The class that all of them derive from.
        names: Those of this library.
        null: Whether the flag may be null.
    """
    if base == Benchmark.__name__ and (hint := data_of(word, path)):
        return _with_hint(f"expected a data set's name for --{path}, got {word}", hint)
    near = "null" if null and word.lower() in ("none", "off", "no", "") else nearest_word(word, names)
    listed = ", ".join([*names, f"package.Class{', or null' if null else ''}"])
    return _with_hint(f"expected {'one of ' if names else ''}{listed} for --{path}, got {word or 'nothing'}", near)


def _not_importable(reason: str, path: str, word: str | None, kind: Any) -> str:
    base = _class_in(kind)
    if base is Benchmark and word and data_of(word, path):
        return _no_class(word, path, kind)
    what = f"package.Class, a {base.__name__}," if base is not None else "package.Class"
    why = "another kind of thing there" if reason.startswith("Import path") else reason.splitlines()[0].strip()
    return (
        f"expected {what} for --{path}, got {word or 'another'} ({why}); a file mine.py in the folder where you "
        "are is named as in mine.MyClass"
    )


def data_of(word: str, path: str) -> str | None:
    """Return how pictures at a path are named for a flag that takes data; None where the word is no such path."""
    if word.lower().endswith(TABLES):
        return f"--{path} Table --{path}.path {word}"
    return f"--{path} Folder --{path}.root {word}" if is_there(word) and Path(word).is_dir() else None


def _annotation(owner: Source, keys: str) -> Any:
    """Return the type of a setting, as of ``schedule.epochs``; None where it cannot be found."""
    kind: Any = owner
    for key in keys.split("."):
        parameter = _parameters(_class_in(kind) or kind).get(key)
        if parameter is None or parameter.annotation is parameter.empty:
            return None
        kind = parameter.annotation
    return kind


def _class_in(kind: Any) -> type | None:
    """Return the class of settings or objects in a type such as ``Loss | None``."""
    parts = get_args(kind) or (kind,)
    known = (*SCALARS, type(None))
    return next((part for part in parts if isinstance(part, type) and part not in known), None)


def _name(owner: Source | None) -> str:
    return str(getattr(owner, "__name__", "this verb"))


def _parameters(of: Source) -> Mapping[str, inspect.Parameter]:
    if isinstance(of, tuple):
        return {name: parameter for each in of for name, parameter in _parameters(each).items()}
    try:
        return inspect.signature(of, eval_str=True).parameters
    except (NameError, TypeError, ValueError):  # Names that only a type checker imports.
        return {}


def _imported(path: str) -> Callable[..., Any] | None:
    module, _, name = path.rpartition(".")
    try:
        require_trusted([path], source="the settings")  # The message may hold what a file says.
        value = getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError, TrustError):
        return None
    return value if callable(value) else None


def _is_list(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Sequence)


def _value(message: str, flag: str, words: Sequence[str]) -> str:
    """Return the value that was not taken, as it was written."""
    values = [value for value in GIVEN.findall(message) if not value.startswith(("NestedArg", "Namespace"))]
    return values[0].strip() if values else _word_after(flag, words) or "another"


def _word_after(flag: str, words: Sequence[str]) -> str | None:
    return next((value for name, value in flag_values(words) if name == flag), None)


def _with_hint(line: str, near: str | None) -> str:
    return line if near is None else f"{line}; did you mean {near}?"


def plain_message(message: str) -> str:
    """Return a parser message that has no explanation of its own, on one line and without Python's type names."""
    line = " ".join(message.split())
    line = re.sub(r"Does not validate against any of the Union subtypes Subtypes: \[.*?\] Errors: ", "", line)
    line = re.sub(r" Given value type: .*? Given value: ", "; got ", line)
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>|typing\.(\w+)", lambda match: match[1] or match[2], line)
