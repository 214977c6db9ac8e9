"""Flags common to all verbs, passed to child processes as environment variables."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reseen.errors import ReseenError
from reseen.trust import trusted_by_environment

CLASS = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")

HELP = (
    "Every verb also takes --trust PACKAGE (take classes of this package from the files that are read, which runs its "
    "code; may be repeated), --unchecked true (read models without a digest, as older versions wrote them), "
    "--scale range or type (how grey pictures of more than 8 bits become 0..255: by their own range, or by their "
    "type's), --max_pixels N (read pictures of up to so many pixels)."
)


def split_common_flags(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split a command line into the environment variables of the common flags and the remaining words.

    A class that is itself named in a flag's value is trusted: whoever types it knows it.

    Raises:
        ReseenError: A value is not one of those allowed.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--trust", action="append", default=[])
    parser.add_argument("--unchecked", choices=("true", "false"))
    parser.add_argument("--scale", choices=("range", "type"))
    parser.add_argument("--max_pixels", type=int)
    try:
        known, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ReseenError(str(error)) from None
    if any(not CLASS.fullmatch(f"a.{package}") for package in known.trust):
        raise ReseenError(f"expected --trust and the name of a package, got {' '.join(known.trust)}")
    trusted = dict.fromkeys([*trusted_by_environment(), *known.trust, *typed_classes(rest)])
    values = {
        "RESEEN_TRUST": ",".join(trusted) or None,
        "RESEEN_UNCHECKED": None if known.unchecked is None else str(int(known.unchecked == "true")),
        "RESEEN_SCALE": known.scale,
        "RESEEN_MAX_PIXELS": None if known.max_pixels is None else str(known.max_pixels),
    }
    return {name: value for name, value in values.items() if value is not None}, rest


def typed_classes(words: Sequence[str]) -> Iterator[str]:
    """Yield the names of classes in the values of flags, as in ``--loss my_package.MyLoss``."""
    for _, value in flag_values(words):
        if value and "/" not in value and not is_there(value):
            yield from CLASS.findall(value)


def flag_values(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each flag of a command line with what stands behind its equals sign, or else with the next word."""
    for number, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and (equals or number + 1 < len(words)):
            yield flag, value if equals else words[number + 1]


def is_there(path: str) -> bool:
    """Return whether there is a file or folder; a word that can be no path is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def environment_variables(values: dict[str, str]) -> Iterator[None]:
    """Context manager that sets environment variables and restores them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
