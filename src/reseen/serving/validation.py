"""Validation of names, labels and ids out of requests."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from fastapi import Path

from reseen.labels import is_hidden, parse_argument
from reseen.serving.errors import RefusedError

MAX_LENGTH = 200
ItemId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
"""An item's id in an address."""


def as_name(text: str, what: str) -> str:
    """Return a name that is safe to keep and to show.

    Raises:
        RefusedError: It is empty, too long, climbs (``..``), or holds what cannot be seen or deceives the eye.
    """
    if not 0 < len(text) <= MAX_LENGTH:
        raise RefusedError(422, f"Expected {what} to have 1 to {MAX_LENGTH} characters, got {len(text)}.")
    if any(map(is_hidden, text)):
        raise RefusedError(422, f"Expected {what} without control characters.")
    # Joiners within a word belong to how several languages are written; alone they are nothing.
    if all(unicodedata.category(x) == "Cf" or x.isspace() for x in text):
        raise RefusedError(422, f"Expected {what} that can be seen, got nothing but spaces.")
    if ".." in re.split(r"[/\\]", text):
        raise RefusedError(422, f"Expected {what} that does not climb out of its folder.")
    return text


def as_source(text: str) -> str:
    """Return where a picture came from: a relative path or any other words.

    Raises:
        RefusedError: It is no name, or an absolute path, which would tell searchers about somebody's machine.
    """
    if re.match(r"[/\\~]|[A-Za-z]:[/\\]", text):
        raise RefusedError(422, "Expected source that is no absolute path.")
    return as_name(text, "source")


def as_label(text: str, what: str) -> int | str:
    """Return a label out of an address, by the one rule of `reseen.labels`: ``7`` is the number, ``"7"`` the text.

    Raises:
        RefusedError: It is no name, or in the form of a number of more than 64 bits.
    """
    label = parse_argument(as_name(text, what))
    if isinstance(label, str) and text[:1] != '"' and re.fullmatch(r"-?[1-9][0-9]{18,}", label):
        raise RefusedError(422, f"Expected {what} to be a number of at most 64 bits, or in quotes.")
    return checked_label(label, what)


def checked_label(value: int | str, what: str) -> int | str:
    """Return a label that is safe to keep and to show.

    Raises:
        RefusedError: It is no name, or a number of more than 64 bits.
    """
    if isinstance(value, str):
        return as_name(value, what)
    if not -(2**63) <= value < 2**63:
        raise RefusedError(422, f"Expected {what} to be a number of at most 64 bits.")
    return value
