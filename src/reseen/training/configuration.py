"""Configuration of a run (config.yaml): what was given and what followed from it, to repeat the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from reseen.description import described
from reseen.training.objective import Term
from reseen.training.schedule import Schedule


def configuration(
    given: Mapping[str, Any] | None, arguments: Mapping[str, Any], *, terms: Sequence[Term], schedule: Schedule
) -> str:
    """Return the YAML of a run.

    Args:
        given: Settings as plain values, from the command line; None in Python.
        arguments: By the command line's names, what was called with in Python. What cannot be said in plain values, as
            a function of one's own, is left out, and a comment at the top names it.
        terms: As trained, with their weights.
        schedule: As trained, with its epochs and learning rate.
    """
    settings: dict[str, Any] = {} if given is None else dict(given)
    left_out = []
    if given is None:
        for name, value in {**arguments, "terms": list(terms)}.items():
            try:
                settings[name] = described(value)
            except ValueError:
                left_out.append(name)
    if isinstance(settings.get("terms"), list):
        settings["terms"] = [
            {**plain, "weight": term.weight} for plain, term in zip(settings["terms"], terms, strict=True)
        ]
    settings["schedule"] = described(dataclasses.asdict(schedule))
    about = f"# Left out, as plain values cannot say it: {', '.join(left_out)}.\n" if left_out else ""
    return about + yaml.safe_dump(settings, sort_keys=False)
