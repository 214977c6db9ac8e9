"""Labels of identities, cameras and tracks written as text: one rule for tables, folders, command line and HTTP.

Text in the plain form of an integer of 64 bits is that integer, also with the ``.0`` that pandas writes behind it in a
column with gaps; any other text stays text, so ``001`` and ``1`` are two labels. Letters with accents are composed
(Unicode's NFC), since a Mac's file names have them apart. The rule looks at one value alone, never at its neighbours: a
label is the same whatever file it stands in.
Needs no torch.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import yaml

UNKNOWN = "unknown"
"""The identity of pictures that show nobody known; so wildlife-datasets writes it."""

_PLAIN = re.compile(r"(0|-?[1-9][0-9]{0,18})(\.0)?")
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of characters, and breaks of lines and paragraphs."""
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Marks that show what follows in another order than it is written in."""


def parse_label(text: str) -> int | str:
    """Return the label that a text stands for: 7 for ``7`` and ``7.0``, and text for ``007``, ``+7`` and ``anna``."""
    if (plain := _PLAIN.fullmatch(text)) and -(2**63) <= (number := int(plain[1])) < 2**63:
        return number
    return composed(text)


def composed(text: str) -> str:
    """Return a text with each letter and its accents as one (Unicode's NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def parse_identity(text: str) -> int | str | None:
    """Return the identity that a text stands for; None, nobody known, for no text and for ``unknown``."""
    return None if text == "" or text.lower() == UNKNOWN else parse_label(text)


def parse_argument(value: int | str) -> int | str:
    """Return the label that an argument of a command line or an address stands for.

    As `parse_label`, but text in double quotes is the text between them: ``"7"`` for the text 7.
    """
    if isinstance(value, int):
        return value
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return composed(str(json.loads(value)))
        except ValueError:
            pass
    return parse_label(value)


def parse_arguments(value: int | str) -> list[int | str]:
    """Return the labels of an argument that may be a list, as in ``[001, gate, "7"]``."""
    if isinstance(value, str) and value[:1] == "[" and value[-1:] == "]":
        try:
            # Composed and not loaded: YAML would make 1 of 001, and 750 of 12:30.
            node = yaml.compose(value, yaml.BaseLoader)
        except yaml.YAMLError:
            node = None
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        if items and all(isinstance(item, yaml.ScalarNode) for item in items):
            return [composed(item.value) if item.style else parse_label(item.value) for item in items]
    return [parse_argument(value)]


def ordered(labels: Iterable[int | str]) -> list[int | str]:
    """Return labels in the order of lists: integers first, then texts."""
    return sorted(labels, key=lambda label: (isinstance(label, str), label))


def ordered_for_draws(labels: Iterable[int | str]) -> list[int | str]:
    """Return labels in the order from which a seed draws: numbers where all are integers, else texts.

    The identities to test on are drawn from it and classes are numbered in it, so figures depend on it. ``003``, a
    text, comes before ``102``, an integer.
    """
    every = list(labels)
    if all(isinstance(label, int) for label in every):
        return sorted(every)
    return sorted(every, key=lambda label: (str(label), isinstance(label, str)))


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names, those that are not alone with their place before them: ``1 cows``, ``2 cows``."""
    counts = Counter(names)
    return [f"{place} {name}" if counts[name] > 1 else name for place, name in enumerate(names, start=1)]


def listed(labels: Iterable[int | str], *, most: int = 10) -> str:
    """Return labels in words, in order, and how many more there are; texts that look like integers in quotes."""
    every = ordered(labels)
    words = [f'"{x}"' if isinstance(x, str) and parse_label(x) != x else str(x) for x in every[:most]]
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return (", ".join(words) or "none") + more


def is_hidden(character: str) -> bool:
    """Return whether a character does something other than being seen: it controls, breaks lines, or turns text."""
    return unicodedata.category(character) in _HIDDEN or unicodedata.bidirectional(character) in _TURNING


def visible(text: str, *, keep: str = "") -> str:
    r"""Return text with its hidden characters escaped, as in ``\x1b``, except those to keep."""
    if text.isprintable():  # Nearly always, and quick.
        return text
    return "".join(x.encode("unicode_escape").decode() if x not in keep and is_hidden(x) else x for x in text)
