"""Protocol: which gallery pictures are positive, negative or ignored for a query, and the measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.types.embeddings import Embeddings
from reseen.types.sample import Camera


class Trial(NamedTuple):
    """One repeat of a protocol: which rows are queries and which are the gallery."""

    query: NDArray[np.intp]
    gallery: NDArray[np.intp]


@dataclass(frozen=True)
class Protocol:
    """Evaluation protocol: positives, negatives and ignored pictures of a query, repeats, and measures.

    A gallery picture of the query's identity is a positive, any other a negative, except those which the fields
    below make neither. A protocol is a value; calling it with changes gives another, as in
    ``cross_camera(average_precision="trapezoid")``.

    Attributes:
        name: Printed in every result.
        same_camera: ``"exclude"`` makes the query's identity under the query's own camera neither.
        locations: Camera -> place. A gallery picture taken where the query was taken is neither, whoever it shows.
        average_precision: ``"step"``: the mean of the precisions at the hits; ``"trapezoid"``: the mean of each with
            the precision one place before it, as in the official MATLAB code.
        unique_identities: The cumulative match curve counts each gallery identity once, at its best picture.
        by_track: The gallery's entries are its tracks; a track scores as its best picture.
        draws: The cumulative match curve is the mean over so many draws of one gallery picture per identity, made for
            each query among the pictures that are not neither; None for the whole gallery at once.
        seed: Where ``draws`` start.
        trials: Gives the repeats from query and gallery; None for one repeat with everything.

    Example:
        >>> from reseen.protocols import cross_camera
        >>> cross_camera(name="any camera", same_camera="keep").name
        'any camera'
    """

    name: str
    same_camera: Literal["exclude", "keep"] = "exclude"
    locations: Mapping[Camera, int | str] | None = None
    average_precision: Literal["step", "trapezoid"] = "step"
    unique_identities: bool = False
    by_track: bool = False
    draws: int | None = None
    seed: int = 0
    trials: Callable[[Embeddings, Embeddings], Iterator[Trial]] | None = None

    def __call__(self, **changes: Any) -> Protocol:
        """Return this protocol with some fields changed."""
        return dataclasses.replace(self, **changes) if changes else self

    @property
    def rule(self) -> str:
        """What is applied, in words, for a report to print beside the name."""
        same_camera = {
            "exclude": "pictures of the same identity by the same camera are ignored",
            "keep": "pictures by the same camera count",
        }
        areas = {"step": "AP without interpolation", "trapezoid": "AP by the trapezoid rule"}
        clauses = [same_camera[self.same_camera], areas[self.average_precision]]
        if self.locations:
            clauses.append("pictures taken at the query's place are ignored")
        if self.by_track:
            clauses.append("ranked by track")
        if self.unique_identities:
            clauses.append("CMC counts each identity once")
        if self.draws:
            clauses.append(f"CMC over {self.draws} draws of one picture per identity, seed {self.seed}")
        if self.trials:
            clauses.append(f"repeats by {self.trials}")
        return "; ".join(clauses)
