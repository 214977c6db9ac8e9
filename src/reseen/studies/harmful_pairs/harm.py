"""Harmful positive pairs in the batches of a training: which they are, and how often each sampling and loss takes them.

Dimensions: N pictures to train on, D components, B blocks, each one identity in one batch, M instances of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.datasets.synthetic.dataset import Drawing, latents
from reseen.datasets.synthetic.latents import visible_patches
from reseen.evaluation.report import NORMAL_95
from reseen.geometry import compare
from reseen.loading import IdentityBatchSampler, number_identities
from reseen.losses import PairLoss
from reseen.studies.harmful_pairs import positive_pairs as pp
from reseen.studies.harmful_pairs.positive_pairs import ALL, DENSE, SPLH, Mask, Reals
from reseen.types import Sample

SHARED_LEAST = 0.25
STRANGERS = 100_000

Rows = NDArray[np.int64]
Judge = Callable[[Rows], Mask]
"""From the rows (B, M) of blocks to which of their pairs are harmful (B, M, M)."""


def judge_of(samples: Sequence[Sample], vectors: Tensor, *, seed: int = 0) -> tuple[Judge, str]:
    """Return the judge of which pairs are harmful, and its rule in words.

    On `Synthetic` it is known how much of an individual two pictures both show. On other data a positive pair counts
    as harmful that these vectors find less alike than half of the pairs of different identities.

    Args:
        samples: N samples.
        vectors: (N, D) of length 1.
        seed: Of the pairs of different identities that are looked at.
    """
    if all(isinstance(sample.draw, Drawing) for sample in samples):
        return _by_surface(
            samples
        ), f"two pictures of one individual that share under {SHARED_LEAST:.0%} of its surface"
    labels = np.asarray(number_identities(samples)[1])
    one, other = np.random.default_rng(seed).integers(len(samples), size=(2, STRANGERS))
    apart = labels[one] != labels[other]
    limit = float((vectors[one[apart]] * vectors[other[apart]]).sum(1).median())
    rule = f"two pictures of one identity with a cosine under {limit:.2f}, the median of pairs of different identities"
    return lambda rows: block_cosines(vectors, rows) < limit, rule


def _by_surface(samples: Sequence[Sample]) -> Judge:
    """Return the judge that compares surfaces, as `shared_surface` does for one pair."""
    seen = [latents(sample) for sample in samples]
    surface = np.stack([visible_patches(one).ravel() for one in seen])
    whole = np.array([visible_patches(dataclasses.replace(one, hidden=None)).sum() for one in seen])

    def judge(rows: Rows) -> Mask:
        first, second = np.triu_indices(rows.shape[1], 1)
        harmful = np.zeros((*rows.shape, rows.shape[1]), bool)
        for block, own in zip(harmful, rows, strict=True):
            i, j = own[first], own[second]
            block[first, second] = np.minimum(surface[i], surface[j]).sum(1) < SHARED_LEAST * whole[i]
        whole_blocks: Mask = harmful | harmful.transpose(0, 2, 1)
        return whole_blocks

    return judge


def rows_of(batches: IdentityBatchSampler, samples: Sequence[Sample], count: int, *, seed: int = 0) -> Rows:
    """Return the rows (count, P x K) of the first batches that a training sees."""
    sequence = batches.over(samples, seed=seed)
    rows: list[list[int]] = []
    while len(rows) < count:
        rows += [[draw.row for draw in batch] for batch in sequence]
        sequence.begin(sequence.epoch + 1)
    return np.array(rows[:count], dtype=np.int64)


def block_cosines(vectors: Tensor, rows: Rows) -> Reals:
    """Return the cosines (B, M, M) within blocks (B, M) of vectors (N, D) of length 1."""
    block = vectors[torch.from_numpy(rows)].double()
    within: Reals = (block @ block.mT).numpy()
    return within


def measured(similarity: Reals, harmful: Mask, identities: Rows) -> pd.DataFrame:
    """Return which share of what each sampling draws from blocks is harmful.

    Args:
        similarity: (B, M, M).
        harmful: (B, M, M).
        identities: (B,) whose pictures they are.

    Returns:
        One row for each sampling: ``harmful``, the share of all positive pairs; ``sampling``; ``share``;
        ``same_blocks``, if harmful pairs were less alike than all others; ``closed_form``, if moreover chance alone
        said which are harmful; ``equation``, by S2 or S3 of the supplement; ``rare``, the share of the blocks in its
        situation I; ``less_alike``, how often a harmful pair is less alike than another of its block;
        ``above_dense``, the share above that of each image's hardest, and ``half``, half of its 95 % interval over
        identities.
    """
    drawn = pp.harmful_shares(similarity, harmful)
    mean_shares = {name: float(shares.mean()) for name, shares in drawn.items()}
    ordered, by_chance = pp.if_least_alike(harmful), pp.with_share(harmful.shape[1], mean_shares[ALL])
    terms, less_alike = pp.situations(similarity, harmful), pp.how_often_less_alike(similarity, harmful)
    equation = {SPLH: terms.share_sparse, DENSE: terms.share_dense}
    table: pd.DataFrame = pd.DataFrame(
        {
            "harmful": mean_shares[ALL],
            "sampling": name,
            "share": share,
            "same_blocks": ordered.get(name),
            "closed_form": by_chance.get(name),
            "equation": equation.get(name),
            "rare": terms.rare,
            "less_alike": less_alike,
            "above_dense": share - mean_shares[DENSE],
            "half": NORMAL_95 * standard_error(drawn[name] - drawn[DENSE], identities),
        }
        for name, share in mean_shares.items()
    )
    return table


def standard_error(values: Reals, groups: Rows) -> float:
    """Return the standard error of the mean of values (B,) where only the groups (B,) are independent; NaN for one."""
    inside = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(inside, values - values.mean())
    if len(sums) < 2:
        return float("nan")
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values))


def pull(loss: PairLoss, batches: Tensor, harmful: Mask) -> float:
    """Return the harmful share of a loss's pull on positive pairs: of the sizes of its gradients by their measures.

    Args:
        loss: Over pairs.
        batches: (b, P x M, D), an identity's M pictures one after the other.
        harmful: (b x P, M, M).
    """
    count = harmful.shape[1]
    labels = torch.arange(batches.shape[1]) // count
    bad, whole = 0.0, 0.0
    for vectors, blocks in zip(batches, harmful.reshape(len(batches), -1, count, count), strict=True):
        pairs = compare(vectors, labels)
        measure, relation = loss.measure(pairs).detach().requires_grad_(), pairs.relation()
        value = loss.reduce(loss.per_anchor(measure, relation), labels, torch.ones_like(labels, dtype=torch.bool))
        (gradient,) = torch.autograd.grad(value, measure)
        strength = gradient.abs() * relation.positive
        bad += float((strength * torch.block_diag(*torch.from_numpy(blocks))).sum())  # type: ignore[no-untyped-call]
        whole += float(strength.sum())
    return bad / whole if whole else 0.0


def simulated(instances: int, *, blocks: int, seed: int = 0) -> pd.DataFrame:
    """Return what is drawn from blocks made up as the supplement assumes, for few harmful pairs and for many.

    Returns:
        One row for each number of harmful ``pairs`` and each sampling, with columns of `measured`.
    """
    total, rng = instances * (instances - 1) // 2, np.random.default_rng([seed, instances])
    counts = {1, instances // 2 - 1, instances // 2, instances, 2 * instances, total // 2, total}
    rows = []
    for pairs in sorted(count for count in counts if 0 < count <= total):
        drawn, closed = (
            pp.harmful_shares(*pp.simulated(instances, pairs, blocks=blocks, rng=rng)),
            pp.with_count(instances, pairs),
        )
        rows += [
            {
                "pairs": pairs,
                "harmful": pairs / total,
                "sampling": name,
                "share": float(drawn[name].mean()),
                "closed_form": expected,
            }
            for name, expected in closed.items()
        ]
    table: pd.DataFrame = pd.DataFrame(rows)
    return table
