"""What the server takes, and how it says no."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much one request, and all of them together, may ask for.

    Attributes:
        num_bytes: Of a request's body.
        num_pixels: Of a picture, before it is decoded.
        num_answers: Of a search.
        num_inside: Requests that are inside at a time; beyond that the server says that it is busy.
        seconds: In which a request's body has to arrive.
        batch: Pictures that go through the model together.
    """

    num_bytes: int = 10_000_000
    num_pixels: int = 25_000_000
    num_answers: int = 200
    num_inside: int = 512
    seconds: float = 30.0
    batch: int = 32


class RefusedError(Exception):
    """A request that is not served: an HTTP status and one sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


USUAL = Limits()
LONGEST = 200
UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of characters, and breaks of lines and paragraphs."""
TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Marks that show what follows in another order than it is written in."""


def as_name(text: str, what: str) -> str:
    """Return a name that is safe to keep and to show.

    Raises:
        RefusedError: It is empty, too long, climbs (``..``), or holds what cannot be seen or deceives the eye.
    """
    if not 0 < len(text) <= LONGEST:
        raise RefusedError(422, f"Expected {what} to have 1 to {LONGEST} characters, got {len(text)}.")
    if any(unicodedata.category(x) in UNSEEN or unicodedata.bidirectional(x) in TURNING for x in text):
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
    """Return a label out of an address: ``7`` is the number, ``"7"`` in quotes the text, anything else the text it is.

    Raises:
        RefusedError: It is no name, or a number of more than 64 bits.
    """
    name = as_name(text, what)
    try:
        value = json.loads(name)
    except (ValueError, RecursionError):
        return name
    if isinstance(value, str):
        return as_name(value, what)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            raise RefusedError(422, f"Expected {what} to be a number of at most 64 bits.")
        return value
    return name


def as_shown(text: str) -> str:
    """Return what a stranger wrote short and plain."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
