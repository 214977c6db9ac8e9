"""What a word of YAML means: of its many for true and false, only these two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

Resolvers = Mapping[str, Sequence[tuple[str, Any]]]


def only_true_and_false(resolvers: Resolvers) -> dict[str, list[tuple[str, Any]]]:
    """Return a loader's implicit resolvers without the booleans of YAML 1.1, such as ``on``, ``no`` and ``y``.

    As in YAML 1.2, so that the key ``on`` of a term, and the value ``no`` of the precision, are words.
    """
    return {
        first: [(tag, form) for tag, form in forms if not tag.endswith(":bool") or first in "tTfF"]
        for first, forms in resolvers.items()
    }


class Loader(yaml.SafeLoader):
    """Reads recipes: plain values, and ``on`` is a word."""


Loader.yaml_implicit_resolvers = only_true_and_false(yaml.SafeLoader.yaml_implicit_resolvers)
