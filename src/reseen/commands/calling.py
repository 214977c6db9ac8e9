"""From words on a command line to a call of a verb.

jsonargparse makes a verb's flags, help and checks from its signature: what is positional-only there is an argument
without a flag, and ``resolved`` receives all settings as plain values.
"""

import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docstring_parser
import jsonargparse._typehints
import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from jsonargparse._loaders_dumpers import get_yaml_default_loader

from reseen.commands.environment import HELP, take, within
from reseen.errors import ReseenError, TrustError
from reseen.recipes import only_true_and_false, path_of
from reseen.samples import Benchmark
from reseen.trust import named_classes, require_trusted

if importlib.util.find_spec("torch"):  # An exported model runs where there is none; data sets do not.
    import reseen.datasets  # noqa: F401  (so that `--data Table` finds its class)

set_parsing_settings(subclasses_enabled=[Benchmark])

# A term's `on` is a word to the command line's own reader of YAML too.
_YAML = get_yaml_default_loader()  # type: ignore[no-untyped-call]
_YAML.yaml_implicit_resolvers = only_true_and_false(_YAML.yaml_implicit_resolvers)


def _forget(parser: Any, before: Any, now: Any) -> None:
    """Empty the arguments of a class that gives way to another one.

    jsonargparse would hand on those of the same name: AdaSP's temperature to SupCon, which means something else by it.
    """
    if before and "init_args" in before and before["class_path"] != now["class_path"]:
        for argument in list(before["init_args"].keys()):
            del before["init_args"][argument]


jsonargparse._typehints.discard_init_args_on_class_path_change = _forget


class WrongArgumentsError(Exception):
    """The words are not what the verb takes; the message is one line."""


def call(name: str, arguments: Sequence[str]) -> None:
    """Parse a verb's arguments and call it.

    Raises:
        WrongArgumentsError: They are not what it takes.
    """
    environment, own = take(arguments)
    with within(environment):
        positional, named = parse(name, own)
        verb(name)(*positional, **named)


def parse(name: str, arguments: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return what a verb would be called with: arguments without a flag, and the others by name.

    Raises:
        WrongArgumentsError: They are not what it takes.
    """
    command = verb(name)
    parser = ArgumentParser(
        prog=f"reseen {name}",
        description=(inspect.getdoc(command) or "").split("Args:")[0].strip(),
        epilog=HELP,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="A YAML file of settings, or a recipe: see `reseen recipes`.")
    parameters = inspect.signature(command, eval_str=True).parameters
    named = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    for word in named:
        needed = parameters[word].default is inspect.Parameter.empty
        optional = {} if needed else {"nargs": "?", "default": parameters[word].default}
        parser.add_argument(word, type=parameters[word].annotation, help=_said_of(command, word), **optional)
    skip: set[str | int] = {word for word in (*named, "resolved") if word in parameters}
    parser.add_function_arguments(command, as_positional=False, skip=skip)
    try:
        settings = parser.parse_args(_with_recipes(arguments))
    except ArgumentError as error:
        said = " ".join(str(error).split()).replace("a dot import path string", "a name listed there or package.Class")
        raise WrongArgumentsError(f"{said}; see reseen {name} --help") from error
    # Typed names are trusted by now; a group of settings may have come from a file of its own.
    require_trusted(named_classes(settings.as_dict()), source="the settings")
    values = {key: value for key, value in vars(parser.instantiate(settings)).items() if key != "config"}
    if "resolved" in parameters:
        values["resolved"] = json.loads(parser.dump(settings, format="json", skip_unset=False, skip_validation=True))
    return [values.pop(word) for word in named], values


def verb(name: str) -> Callable[..., None]:
    """Return the function of a verb: ``check-data`` is ``reseen.commands.check_data.check_data``.

    Raises:
        ReseenError: A library it needs is not installed, as torch may not be beside an exported model.
    """
    package, _, own = name.rpartition(" ")
    word = own.replace("-", "_")
    home = "reseen.studies" if package == "study" else "reseen.commands"
    try:
        function: Callable[..., None] = getattr(importlib.import_module(f"{home}.{word}"), word)
    except ModuleNotFoundError as error:
        if importlib.util.find_spec("torch"):
            raise
        missing = f"expected the library {error.name} for reseen {name}, which is not installed"
        raise ReseenError(f"{missing}; run: pip install reseen") from None
    return function


def _with_recipes(arguments: Sequence[str]) -> list[str]:
    """Put the path of a packaged recipe where its name is given for a file: ``--config market1501/bot``."""
    words = [
        word for given in arguments for word in (given.split("=", 1) if given.startswith("--config=") else [given])
    ]
    for number, word in enumerate(words[1:], start=1):
        if words[number - 1] == "--config" and not Path(word).is_file():
            words[number] = str(path_of(word))
        elif words[number - 1] == "--config":
            _require_trusted(Path(word))
    return words


def _require_trusted(config: Path) -> None:
    """Make sure of a file of settings before anything that it names is imported.

    Raises:
        TrustError: It names a class of a package that the user has not.
    """
    try:
        settings = yaml.safe_load(config.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return  # the parser says what is wrong
    if isinstance(settings, dict) and "config" in settings:
        raise TrustError(
            f"expected settings alone in {config}, got the name of another file of them; name it on its own"
        )
    require_trusted(named_classes(settings), source=config)


def _said_of(command: Callable[..., None], parameter: str) -> str:
    """Return what a docstring says of a parameter."""
    parsed = docstring_parser.parse(inspect.getdoc(command) or "")
    return next((p.description or "" for p in parsed.params if p.arg_name == parameter), "")
