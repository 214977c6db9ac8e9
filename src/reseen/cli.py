"""The command line: ``reseen VERB ...``.

Each verb is a typed function under ``reseen.commands``; jsonargparse makes its flags, help and checks from the
signature: what is positional-only there is an argument without a flag, and ``resolved`` receives all settings as plain
values. Only the verb that is called is imported, so that ``reseen --help`` answers at once.
"""

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence

import docstring_parser

from reseen.errors import ReseenError

COMMANDS = {
    "demo": "train, evaluate and report on the built-in synthetic data",
    "check-data": "say what is in a data set and what in it would spoil a result",
    "train": "train a model",
    "evaluate": "score a trained model on a data set",
    "embed": "write a trained model's vectors of a data set to disk",
    "report": "write one HTML page about a run",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb; exit 0 when done, 1 on what a user can mend, 2 on wrong arguments, 130 on Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(overview())
        return
    if given[0] == "--version":
        from reseen import __version__

        print(f"reseen {__version__}")
        return
    if given[0] not in COMMANDS:
        fail(2, f"expected one of {', '.join(COMMANDS)}, got '{given[0]}'; see reseen --help")
    try:
        run(given[0], given[1:])
    except (ReseenError, ValueError) as error:
        if os.environ.get("RESEEN_DEBUG"):
            raise
        fail(1, str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def run(name: str, arguments: Sequence[str]) -> None:
    """Parse a verb's arguments and call it."""
    # Here, not above: these imports take longer than `reseen --help` may.
    from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

    import reseen.datasets  # noqa: F401  (so that `--data Table` finds its class)
    from reseen.samples import Benchmark

    set_parsing_settings(subclasses_enabled=[Benchmark])
    command = verb(name)
    parser = ArgumentParser(
        prog=f"reseen {name}",
        description=(inspect.getdoc(command) or "").split("Args:")[0].strip(),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="A YAML file with any of these settings; see `reseen recipes`.")
    parameters = inspect.signature(command).parameters
    named = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    for name in named:
        parser.add_argument(name, type=parameters[name].annotation, help=_said_of(command, name))
    skip: set[str | int] = {name for name in (*named, "resolved") if name in parameters}
    parser.add_function_arguments(command, as_positional=False, skip=skip)
    try:
        settings = parser.parse_args(list(arguments))
    except ArgumentError as error:
        said = " ".join(str(error).split()).replace("a dot import path string", "a name listed there or package.module.Class")
        fail(2, f"{said}; see reseen {name} --help")
    values = {key: value for key, value in vars(parser.instantiate(settings)).items() if key != "config"}
    if "resolved" in parameters:
        values["resolved"] = json.loads(parser.dump(settings, format="json", skip_unset=False, skip_validation=True))
    positional = [values.pop(name) for name in named]
    command(*positional, **values)


def _said_of(command: Callable[..., None], parameter: str) -> str:
    """Return what a docstring says of a parameter."""
    parsed = docstring_parser.parse(inspect.getdoc(command) or "")
    return next((p.description or "" for p in parsed.params if p.arg_name == parameter), "")


def verb(name: str) -> Callable[..., None]:
    """Return the function of a verb: ``check-data`` is ``reseen.commands.check_data.check_data``."""
    word = name.replace("-", "_")
    function: Callable[..., None] = getattr(importlib.import_module(f"reseen.commands.{word}"), word)
    return function


def overview() -> str:
    """Return the text of ``reseen --help``."""
    verbs = "\n".join(f"  {name:<12} {line}" for name, line in COMMANDS.items())
    return (
        "reseen: find the same individual again\n\n"
        f"usage: reseen VERB ...\n\n{verbs}\n\n"
        "`reseen VERB --help` explains a verb; `reseen VERB --data.help NAME` a data set, `--loss.help NAME` a loss."
    )


def fail(status: int, message: str) -> None:
    """Say in one line what went wrong, and leave."""
    print(f"reseen: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
