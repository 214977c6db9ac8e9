"""Mining of the hardest stored candidates: found without gradient, then measured with it.

Dimensions: A anchors, M stored candidates, k of them kept for each anchor, D components.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from reseen.geometry import Candidates, Measure, MemoryCandidates, Pairs, Relation
from reseen.slicing import chunks

SLOTS_AT_ONCE = 8192


def mine(
    pairs: Pairs, measure: Measure, num: int, *, positives: Literal["hardest", "easiest"] = "hardest"
) -> tuple[Tensor, Relation]:
    """Return the measures of all live candidates and, behind them, of the stored ones that matter: (A, L + k).

    Stored candidates are looked through a block at a time, so that there is no (A, M) matrix; those kept are measured
    again by difference, so that the nearest ones are exact; the gradient is of these few alone.

    Args:
        pairs: With stored candidates.
        measure: Says what is more alike.
        num: How many positives and negatives to keep of each store for each anchor.
        positives: Whether to keep the positives least or most alike.
    """
    live = dataclasses.replace(pairs, candidates=dataclasses.replace(pairs.candidates, stored=()))
    relation = live.relation()
    measures, positive, negative = [measure(live)], [relation.positive], [relation.negative]
    for stored in pairs.candidates.stored:
        kinds = (
            [(False, True)] if stored.same_identity == "exclude" else [(False, True), (True, positives == "easiest")]
        )
        for of_positives, alike in kinds:
            slots, filled = _search(pairs, stored, measure, num, of_positives=of_positives, alike=alike)
            measures.append(measure.paired(pairs.anchors, stored.embeddings[slots].to(pairs.anchors.dtype)))
            positive.append(filled & of_positives)
            negative.append(filled & (not of_positives))
    itself = torch.nn.functional.pad(relation.itself, (0, sum(m.shape[1] for m in measures[1:])))
    masks = torch.cat(positive, dim=1), torch.cat(negative, dim=1), itself
    return torch.cat(measures, dim=1), Relation(*masks, positive_columns=itself.shape[1])


@torch.no_grad()
def _search(
    pairs: Pairs, stored: MemoryCandidates, measure: Measure, num: int, *, of_positives: bool, alike: bool
) -> tuple[Tensor, Tensor]:
    """Return the slots (A, k) of the most, or the least, alike of one kind, and which of them are (A, k) bool."""
    sign = 1 if alike == measure.rises else -1
    values, slots = [], []
    for cut in chunks(len(stored), SLOTS_AT_ONCE):
        part = _only(pairs, stored.part(cut.start, cut.stop))
        relation = part.relation()
        wanted = relation.positive if of_positives else relation.negative
        score = (sign * measure(part)).masked_fill_(~wanted, -torch.inf)
        best = score.topk(min(num, score.shape[1]), dim=1)
        values.append(best.values)
        slots.append(best.indices + cut.start)
    best = torch.cat(values, dim=1).topk(min(num, len(stored)), dim=1)
    filled: Tensor = best.values > -torch.inf
    return torch.cat(slots, dim=1).gather(1, best.indices), filled


def _only(pairs: Pairs, stored: MemoryCandidates) -> Pairs:
    """Return the anchors beside these stored candidates alone."""
    none = slice(0)
    candidates = Candidates(
        pairs.anchors[none],
        pairs.labels[none],
        None,
        modalities=None if pairs.candidates.modalities is None else pairs.candidates.modalities[none],
        stored=(stored,),
        crossing=pairs.candidates.crossing,
    )
    return dataclasses.replace(pairs, candidates=candidates)
