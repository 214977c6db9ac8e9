"""Loss flags (``--loss``, ``--loss_weight`` ...), translated into the terms of the training objective."""

from __future__ import annotations

import copy
import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from reseen.losses import Loss
from reseen.recipes.defaults import DEFAULT_TERMS, LOSS_FLAGS
from reseen.recipes.objective import kind_of, with_loss, with_value
from reseen.training import Term

KEEP = "keep"


def loss_flags(
    *,
    loss: Loss | Literal["keep"] | None = "keep",
    loss_weight: float | None = None,
    loss_output: str | None = None,
    identity_loss: Loss | Literal["keep"] | None = "keep",
) -> None:
    """Flags that change terms.

    Args:
        loss: The metric loss of the terms; null for none. `--loss.temperature 0.05` changes an argument of it.
        loss_weight: Weight of the metric loss; if not given, that of its paper: of AdaSP 0.1, on the vehicle data sets
            0.5, of expAT 0.1, of most 1.
        loss_output: Output of the network that the metric loss takes: feature (before the neck), embedding (after
            it), or branch.*.
        identity_loss: The identity loss of the terms, a classifier; null for none.
    """


def split(arguments: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the words about each flag's class and its arguments, and the other words."""
    about: dict[str, list[str]] = {}
    others = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.removeprefix("--").partition("=")
        flag = name.partition(".")[0]
        if word.startswith("--") and flag in LOSS_FLAGS and name != f"{flag}.help":
            about.setdefault(flag, []).extend([word] if equals else [word, *itertools.islice(words, 1)])
        else:
            others.append(word)
    return about, others


def with_terms(settings: Namespace, flags: Mapping[str, Sequence[str]], parser: ArgumentParser) -> Namespace:
    """Return settings whose terms are what is trained; what is said of single losses is in them, and nowhere else.

    Args:
        settings: As parsed; what configuration files say of single losses stands beside the terms.
        flags: Words from `split`, which come last.
        parser: The one that parsed.

    Raises:
        ValueError: It is not clear which of several terms is meant, or there is none to change.
        ArgumentError: A loss does not take what it is given.
    """
    plain = json.loads(parser.dump(settings, format="json", skip_unset=False, skip_validation=True))
    terms = copy.deepcopy(DEFAULT_TERMS) if plain["terms"] is None else plain["terms"]
    for flag, role in LOSS_FLAGS.items():
        if plain[flag] != KEEP:
            terms = with_loss(terms, role, functools.partial(_replaced, plain[flag]))
        if flag in flags:
            terms = with_loss(terms, role, functools.partial(_changed, flag, flags[flag]))
    for key in ("weight", "output"):
        if (value := plain[f"loss_{key}"]) is not None:
            terms = with_value(terms, key, value)
    typed = ArgumentParser(exit_on_error=False)
    typed.add_argument("--terms", type=list[Term])
    result = settings.clone()
    result.update(typed.parse_object({"terms": terms}))
    for name in (*LOSS_FLAGS, "loss_weight", "loss_output"):
        del result[name]
    return result


def _replaced(new: Any, _: Any) -> Any:
    return new


def _changed(flag: str, words: Sequence[str], loss: Any) -> Any:
    """Return a loss as words change it: its class, arguments of it, or both."""
    for at in reversed(range(len(words))):  # only the last class counts, and what is said of it after that
        name, equals, value = words[at].partition("=")
        if name == f"--{flag}":
            value, rest = (value, words[at + 1 :]) if equals else ("".join(words[at + 1 : at + 2]), words[at + 2 :])
            same = loss is not None and value.rpartition(".")[2] == kind_of(loss)
            loss, words = (loss, rest) if same else (None, rest if value == "null" else words[at:])
            break
    if not words:
        return loss
    if loss is None and words[0].startswith(f"--{flag}."):
        raise ValueError(f"expected a loss for {words[0].partition('=')[0]}, as --{flag} NAME gives one, got none")
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument(f"--{flag}", type=Loss | None, default=loss)
    settings = parser.parse_args(list(words))
    return json.loads(parser.dump(settings, format="json", skip_unset=False, skip_validation=True))[flag]
