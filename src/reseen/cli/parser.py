"""Command-line parser: arguments to a call of a verb.

jsonargparse makes a verb's flags, help and checks from its signature: what is positional-only there is an argument
without a flag, and ``resolved`` receives all settings as plain values.
"""

import dataclasses
import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings

from reseen.cli.environment import HELP, environment_variables, split_common_flags
from reseen.cli.first_check import missing, wrong_flag
from reseen.cli.foreign_losses import accept_losses
from reseen.cli.help import Parser
from reseen.cli.mistakes import explain, wrong_value
from reseen.cli.yaml_files import read_yaml
from reseen.errors import ReseenError, TrustError
from reseen.recipes import path_of
from reseen.trust import named_classes, require_trusted
from reseen.upstream import check_before_importing, forget_arguments_with_their_class

# Settings of a study's trainings stay plain where they name a class.
set_parsing_settings(instantiate_subclass_spec_in_any=False)


forget_arguments_with_their_class()
check_before_importing(lambda name: require_trusted([name], source="the settings"))


class WrongArgumentsError(Exception):
    """The words are not what the verb takes; the message is one line."""


def call(name: str, arguments: Sequence[str]) -> None:
    """Parse a verb's arguments and call it.

    Raises:
        WrongArgumentsError: They are not what it takes.
    """
    environment, own = split_common_flags(arguments)
    with environment_variables(environment):
        positional, named = parse(name, own)
        verb(name)(*positional, **named)


def parse(name: str, arguments: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return what a verb would be called with: arguments without a flag, and the others by name.

    Raises:
        WrongArgumentsError: They are not what it takes.
    """
    home, function = place_of(name)
    if line := wrong_flag(home, function, arguments) or missing(home, function, arguments):
        raise _wrong(name, line)
    command = verb(name)
    parameters = inspect.signature(command, eval_str=True).parameters
    if "data" in parameters:
        importlib.import_module("reseen.datasets")  # So that `--data Table` finds its class.
    parser = Parser(
        prog=f"reseen {name}",
        description=(inspect.getdoc(command) or "").split("Args:")[0].strip(),
        epilog=HELP,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="A YAML file of settings, or a recipe: see `reseen recipes`.")
    named = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    for word in named:
        needed = parameters[word].default is inspect.Parameter.empty
        optional = {} if needed else {"nargs": "?", "default": parameters[word].default}
        parser.add_argument(word, type=parameters[word].annotation, help=_help_of(command, word), **optional)
    # A study's options are flags like its other arguments.
    options = parameters["options"].annotation if "options" in parameters else None
    skip: set[str | int] = {word for word in (*named, "resolved", "options") if word in parameters}
    if options is not None:
        parser.add_class_arguments(options, as_positional=False)
    parser.add_function_arguments(command, as_positional=False, skip=skip)
    words = _classes_first(_with_recipes(arguments))
    accept_losses(words)
    try:
        settings = _parsed_with_losses(parser, words) if "terms" in parameters else parser.parse_args(words)
    except ArgumentError as error:
        raise _wrong(name, explain(str(error), _source_of(command), words)) from error
    # Typed names are trusted by now; a group of settings may have come from a file of its own.
    require_trusted(named_classes(settings.as_dict()), source="the settings")
    if wrong := wrong_value(command, settings.as_dict()):
        raise _wrong(name, wrong)
    values = {key: value for key, value in vars(parser.instantiate(settings)).items() if key != "config"}
    if options is not None:
        values |= {key: _plain(value) for key, value in values.items() if isinstance(value, dict)}
        values["options"] = options(**{field.name: values.pop(field.name) for field in dataclasses.fields(options)})
    if "resolved" in parameters:
        values["resolved"] = json.loads(parser.dump(settings, format="json", skip_unset=False, skip_validation=True))
    return [values.pop(word) for word in named], values


def _parsed_with_losses(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse the arguments of a verb that has terms, and change these as the flags about single losses say."""
    from reseen.cli import loss_flags  # It needs torch, beside which an exported model runs.

    parser.add_function_arguments(loss_flags.loss_flags, as_positional=False)
    flags, others = loss_flags.split(arguments)
    if flags and any(word.startswith("--print_config") for word in others):
        raise WrongArgumentsError("expected no flags about losses beside --print_config, which prints without them")
    settings = parser.parse_args(others)
    try:
        return loss_flags.with_terms(settings, flags, parser)
    except ValueError as error:
        raise WrongArgumentsError(f"{error}; see reseen train --help") from error


def _source_of(command: Callable[..., None]) -> Callable[..., None] | tuple[Callable[..., None], ...]:
    """Return the functions whose arguments are a verb's flags."""
    if "terms" not in inspect.signature(command).parameters:
        return command

    from reseen.cli import loss_flags

    return command, loss_flags.loss_flags


def verb(name: str) -> Callable[..., None]:
    """Return the function of a verb: ``check-data`` is ``reseen.commands.check_data.check_data``.

    Raises:
        ReseenError: A library it needs is not installed, as torch may not be beside an exported model.
    """
    home, word = place_of(name)
    try:
        function: Callable[..., None] = getattr(importlib.import_module(home), word)
    except ModuleNotFoundError as error:
        if importlib.util.find_spec("torch"):
            raise
        missing = f"expected the library {error.name} for reseen {name}, which is not installed"
        raise ReseenError(f"{missing}; run: pip install reseen") from None
    return function


def place_of(name: str) -> tuple[str, str]:
    """Return the module and the name of a verb's function."""
    package, _, own = name.rpartition(" ")
    word = own.replace("-", "_")
    return f"reseen.{'studies' if package == 'study' else 'commands'}.{word}", word


def _wrong(name: str, line: str) -> WrongArgumentsError:
    return WrongArgumentsError(f"{line}{' See' if line.endswith('?') else '; see'} reseen {name} --help")


def _plain(value: Any) -> Any:
    """Return values with dictionaries for the parser's namespaces."""
    value = vars(value) if isinstance(value, Namespace) else value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _with_recipes(arguments: Sequence[str]) -> list[str]:
    """Put the path of a packaged recipe where its name is given for a file: ``--config market1501/bot``.

    Raises:
        RunError: There is no such file, or one that is named is not made of settings.
    """
    words = [
        word
        for argument in arguments
        for word in (argument.split("=", 1) if argument.startswith("--config=") else [argument])
    ]
    for number, word in enumerate(words[1:], start=1):
        if words[number - 1] == "--config" and not Path(word).is_file():
            words[number] = str(path_of(word))
        elif words[number - 1] == "--config" or (word.endswith((".yaml", ".yml")) and Path(word).is_file()):
            _require_trusted(read_yaml(Path(word)), source=Path(word))
    return words


def _classes_first(words: Sequence[str]) -> list[str]:
    """Put a class before its arguments where these come first: ``--loss.beta 0.7 --loss FIDILoss``."""
    sorted_words = list(words)
    for flag in dict.fromkeys(word.partition("=")[0] for word in words if word.startswith("--")):
        places = [n for n, word in enumerate(sorted_words) if word == flag or word.startswith(f"{flag}=")]
        first = next((n for n, word in enumerate(sorted_words) if word.startswith(f"{flag}.")), None)
        if first is not None and len(places) == 1 and places[0] > first:
            size = 1 if "=" in sorted_words[places[0]] else 2
            moved = sorted_words[places[0] : places[0] + size]
            if moved[-1].rpartition("=")[2].lower() in ("null", "none"):
                continue  # What comes last takes back what came before.
            del sorted_words[places[0] : places[0] + size]
            sorted_words[first:first] = moved
    return sorted_words


def _require_trusted(settings: Any, *, source: Path) -> None:
    """Make sure of a file of settings before anything that it names is imported.

    Raises:
        TrustError: It names a class of a package that the user has not.
    """
    if isinstance(settings, dict) and "config" in settings:
        raise TrustError(
            f"expected settings alone in {source}, got the name of another file of them; name it on its own"
        )
    require_trusted(named_classes(settings), source=source)


def _help_of(command: Callable[..., None], parameter: str) -> str:
    """Return what a docstring says of a parameter."""
    parsed = docstring_parser.parse(inspect.getdoc(command) or "")
    return next((p.description or "" for p in parsed.params if p.arg_name == parameter), "")
