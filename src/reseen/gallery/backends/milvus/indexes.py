"""Kinds of index of Milvus, how they are built, and how far a search in them looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class IndexKind:
    """A kind of index.

    Attributes:
        parameters: What it is built with.
        breadth: Name of the parameter that says how far a search looks; None where it looks at everything.
        breadths: Those to try, from the narrowest; the last is the widest that there is.
        at_least_answers: Whether a search must look at as many as it gives answers.
        reordered: Name of the parameter that says how many are compared anew by their exact vectors: as many as the
            breadth, and no fewer than the answers; None where there is none.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    breadth: str | None = None
    breadths: tuple[int, ...] = (1,)
    at_least_answers: bool = False
    reordered: str | None = None

    def search_parameters(self, breadth: int | None, answers: int) -> dict[str, Any]:
        """Return the parameters of a search of so many answers; None looks as far as this kind can."""
        if self.breadth is None:
            return {}
        wide = self.breadths[-1] if breadth is None else breadth
        enough = max(wide, answers)
        again = {} if self.reordered is None else {self.reordered: enough}
        return {self.breadth: enough if self.at_least_answers else wide, **again}


LISTS = 1024
_NPROBE = tuple(2**n for n in range(3, 11))
_EF = tuple(2**n for n in range(4, 13))

KINDS = {
    "FLAT": IndexKind(),
    "IVF_FLAT": IndexKind({"nlist": LISTS}, "nprobe", _NPROBE),
    "IVF_SQ8": IndexKind({"nlist": LISTS}, "nprobe", _NPROBE),
    "SCANN": IndexKind({"nlist": LISTS, "with_raw_data": "true"}, "nprobe", _NPROBE, reordered="reorder_k"),
    "HNSW": IndexKind({"M": 16, "efConstruction": 200}, "ef", _EF, at_least_answers=True),
    "DISKANN": IndexKind({}, "search_list", _EF, at_least_answers=True),
}
"""By Milvus's names; FLAT compares with every vector."""
