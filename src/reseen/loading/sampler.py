"""Batch sampler of P identities with K pictures each.

Dimensions: P identities per batch, K pictures of each, N samples, B = P x K pictures per batch (all ranks together).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

from reseen.errors import DataError
from reseen.loading.image_dataset import Draw, number_identities
from reseen.types import MODALITIES, Sample

Rows = NDArray[np.int64]


class Batches(Sampler[list[Draw]]):
    """Batch sampler over epochs whose state can be saved and restored.

    Everything follows from the seed, the epoch and the position: the same batches come, with the same seeds for their
    augmentation, on any number of ranks (each takes its part of every batch) and after any number of resumes.
    Iterating gives what is left of the current epoch. It does not move ``position``, which counts batches that were
    *used*: a loader with worker processes fetches ahead. So the training loop does::

        for epoch in range(batches.epoch, epochs):
            batches.begin(epoch)
            for images, labels, rows in loader:
                ...
                batches.position += 1

    Args:
        compose: From a generator to an epoch's rows, (num_batches, B).
        num_batches: How many batches an epoch has, always.
        seed: Of everything random.
        rank: Which part of each batch to give.
        num_ranks: How many parts there are; divides B.
        source: What else decides which batches come, such as P, K and a digest of the samples; compared on a resume.
    """

    def __init__(
        self,
        compose: Callable[[np.random.Generator], Rows],
        num_batches: int,
        *,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self.compose = compose
        self.num_batches = num_batches
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks
        self.source = dict(source or {})
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = self.compose(generator)
        seeds = generator.integers(2**63, size=rows.shape)
        size = rows.shape[1] // self.num_ranks
        part = slice(self.rank * size, (self.rank + 1) * size)
        for position in range(self.position, self.num_batches):
            yield [Draw(int(r), int(s)) for r, s in zip(rows[position, part], seeds[position, part], strict=True)]

    def begin(self, epoch: int) -> None:
        """Go to the start of an epoch; within it already, stay."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where training is, and of which sequence."""
        return {**self._sequence(), "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where training was.

        Raises:
            ValueError: The state belongs to another sequence of batches.
        """
        for name, value in self._sequence().items():
            if state.get(name, value) != value:  # an older state names less
                raise ValueError(
                    f"expected batches with {name} {state[name]} as in the saved state, got {value}; "
                    "resume with the same data, batches and seed"
                )
        self.epoch, self.position = state["epoch"], state["position"]

    def _sequence(self) -> dict[str, Any]:
        return {"seed": self.seed, "num_batches": self.num_batches, **self.source}


class LabelBatches(Sampler[list[int]]):
    """Batch sampler of plain indices, for any data set: a new epoch begins whenever it is iterated again.

    Args:
        batches: Whose rows are given.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield [draw.row for draw in batch]
        self.batches.begin(self.batches.epoch + 1)


@dataclass(frozen=True)
class IdentityBatchSampler:
    """Sampler of batches of P identities with K pictures each.

    In an epoch every identity comes at least once, and about as often as it has K pictures. The K pictures are from
    as many cameras as there are, those least used in the epoch first; an identity with fewer pictures repeats them.

    Attributes:
        identities: Identities in a batch (P), over all GPUs.
        images: Pictures of each identity in a batch (K).
        by_modality: Take K visible and K infrared pictures of each identity, so that a batch has 2 P K.
    """

    identities: int = 8
    images: int = 4
    by_modality: bool = False

    def __post_init__(self) -> None:
        if self.identities < 1 or self.images < 1:
            raise ValueError(
                f"expected at least 1 identity and 1 image of each in a batch, got {self.identities} and {self.images}"
            )

    def over_labels(self, labels: ArrayLike, *, seed: int = 0, rank: int = 0, num_ranks: int = 1) -> LabelBatches:
        """Return batches of indices into any data set: ``DataLoader(data, batch_sampler=sampler.over_labels(labels))``.

        Args:
            labels: (N,) who is on each picture, integers or strings.
            seed: Of everything random.
            rank: Which part of each batch to give.
            num_ranks: How many parts there are.

        Raises:
            ValueError: The labels are no list, there are fewer than P identities, or P is no multiple of ``num_ranks``.
        """
        names = np.asarray(labels)
        if names.ndim != 1 or self.by_modality:
            raise ValueError(f"expected labels (N,) and by_modality off, got {names.shape} and {self.by_modality}")
        samples = [Sample(str(row), identity=name) for row, name in enumerate(names.tolist())]
        return LabelBatches(self.over(samples, seed=seed, rank=rank, num_ranks=num_ranks))

    def over(
        self, samples: Sequence[Sample], *, seed: int = 0, rank: int = 0, num_ranks: int = 1, multiple_of: int = 1
    ) -> Batches:
        """Return the batches of these samples.

        Args:
            samples: N samples.
            seed: Of everything random.
            rank: Which part of each batch to give.
            num_ranks: How many parts there are.
            multiple_of: Round the number of batches of an epoch up to a multiple, for gradients that are summed over
                several batches.

        Raises:
            ValueError: There are fewer than P identities, or P is no multiple of ``num_ranks``.
            DataError: ``by_modality``, and an identity lacks one of the two.
        """
        groups = rows_by_identity(samples, MODALITIES if self.by_modality else None)
        cameras = np.unique([str(s.camera) for s in samples], return_inverse=True)[1]
        if self.identities > len(groups):
            raise ValueError(
                f"expected at most as many identities in a batch as the training data has, {len(groups)}, "
                f"got {self.identities}; lower batches.identities or add data"
            )
        if self.identities % num_ranks:
            raise ValueError(
                f"expected identities in a batch to be a multiple of the {num_ranks} ranks, got {self.identities}"
            )
        # How often an identity must come so that each of its pictures can be seen about once.
        wanted = np.array([max(-(-len(rows) // self.images) for rows in kinds) for kinds in groups])
        num_batches = -(-int(wanted.sum()) // self.identities)
        num_batches = -(-num_batches // multiple_of) * multiple_of

        def compose(generator: np.random.Generator) -> Rows:
            used = np.zeros(len(samples), dtype=np.int64)
            chosen = deal_identities(wanted, num_batches, self.identities, generator)
            picked = [
                pick_pictures(self.images, rows, cameras, used, generator)
                for identity in chosen.flat
                for rows in groups[identity]
            ]
            return np.concatenate(picked).reshape(num_batches, -1)

        source = {**asdict(self), "samples": samples_digest(samples)}
        return Batches(compose, num_batches, seed=seed, rank=rank, num_ranks=num_ranks, source=source)


def samples_digest(samples: Sequence[Sample]) -> str:
    """Return a hash of who is on which picture, by which camera, in which order; wherever the pictures' folder is."""
    paths = [sample.path for sample in samples]
    above = os.path.commonprefix([os.path.dirname(path) for path in paths])  # noqa: RUF071  by characters will do
    seen = hashlib.sha256()
    for path, sample in zip(paths, samples, strict=True):
        fields = (path[len(above) :], sample.identity, sample.camera, sample.modality, sample.box)
        seen.update(repr(fields).encode(errors="surrogatepass"))
    return seen.hexdigest()[:16]


def rows_by_identity(samples: Sequence[Sample], modalities: tuple[str, ...] | None) -> list[list[Rows]]:
    """Return for each identity, in order, the rows of its samples: all together, or apart for each of the modalities.

    Raises:
        DataError: An identity has no sample in one of the modalities.
    """
    identities, labels = number_identities(samples)
    groups: list[list[Rows]] = [[] for _ in identities]
    for modality in modalities or (None,):
        mine: list[list[int]] = [[] for _ in identities]
        for row, sample in enumerate(samples):
            if modality is None or sample.modality == modality:
                mine[labels[row]].append(row)
        for name, kinds, rows in zip(identities, groups, mine, strict=True):
            if not rows:
                raise DataError(
                    f"expected {modality} pictures of every identity, got none of {name!r}; "
                    "leave it out or batch without by_modality"
                )
            kinds.append(np.array(rows))
    return groups


def pick_pictures(count: int, rows: Rows, cameras: Rows, used: Rows, generator: np.random.Generator) -> Rows:
    """Choose pictures of one identity: cameras take turns, each gives its least used; repeated where too few.

    Args:
        count: K.
        rows: (n,) the identity's rows.
        cameras: (N,) every sample's camera, as a number.
        used: (N,) how often each sample was chosen in this epoch; counted on.
        generator: Of the choice between equals.

    Returns:
        (K,) rows.
    """
    rows = rows[np.lexsort((generator.random(len(rows)), used[rows]))]
    turn = np.empty(len(rows), dtype=np.int64)
    for camera in np.unique(cameras[rows]):
        own = cameras[rows] == camera
        turn[own] = np.arange(own.sum())
    chosen = np.resize(rows[np.argsort(turn, kind="stable")], count)
    np.add.at(used, chosen, 1)
    return chosen


def deal_identities(wanted: Rows, num_batches: int, size: int, generator: np.random.Generator) -> Rows:
    """Deal identities onto batches, each at least as often as wanted and at most once a batch.

    Args:
        wanted: (I,) how often each identity should come; cut at ``num_batches``.
        num_batches: At least sum(wanted) / size.
        size: P, at most I.
        generator: Of the choices.

    Returns:
        (num_batches, P) identities, distinct in each row.
    """
    left = np.minimum(wanted, num_batches)
    while (missing := num_batches * size - int(left.sum())) > 0:  # Empty places go to identities at random.
        room = np.flatnonzero(left < num_batches)
        left[generator.permutation(room)[:missing]] += 1
    batches = np.empty((num_batches, size), dtype=np.int64)
    for number in range(num_batches):
        # At random, in proportion to what is left (Gumbel's trick); but who must come in every batch left comes now.
        with np.errstate(divide="ignore"):
            score = np.log(left) + generator.gumbel(size=len(left))
        score[left == num_batches - number] = np.inf
        batches[number] = np.argpartition(-score, size - 1)[:size]
        left[batches[number]] -= 1
    return batches
