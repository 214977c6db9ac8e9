"""Base classes of losses.

Dimensions: A anchors, C candidates, D components.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from reseen.description import KeepsArguments
from reseen.distributed import gather
from reseen.geometry import Candidates, Measure, Pairs, Relation, compare, masked_mean, row_blocks
from reseen.losses.mining import mine
from reseen.types import ObjectKind

Role = Literal["identity", "metric", "auxiliary"]
"""What a loss is for: to classify identities, to compare pictures, or beside a loss that does either."""


class Loss(KeepsArguments, nn.Module, ABC):
    """Base class of losses: embeddings and identity labels to a scalar to minimise.

    Attributes:
        role: What the loss is for, unless the term it stands in says otherwise.
        learning_rate: What the loss's own parameters want, by plain SGD on the unweighted loss (a loop that weights
            the loss divides this by the weight); None where they train like the rest of the network.
    """

    role: Role = "metric"
    learning_rate: float | None = None

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor | ArrayLike,
        candidates: Candidates | None = None,
        *,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | ArrayLike | None = None,
        indices_tuple: object = None,
        **more: Any,
    ) -> Tensor:
        """Return the loss, see `forward`; also called as losses of pytorch-metric-learning are.

        Args:
            embeddings: (A, D), the anchors.
            labels: (A,), a tensor or any array of integers.
            candidates: What they are compared with.
            ref_emb: (C, D), in place of ``candidates``: embeddings among which the anchors are not.
            ref_labels: (C,), theirs.
            indices_tuple: Pairs of a miner, which are refused: these losses weigh all pairs themselves.
            more: What else the loss takes, as ``modalities``.

        Raises:
            ValueError: There are mined pairs, or candidates in two ways.
        """
        if indices_tuple is not None or isinstance(candidates, tuple):
            raise ValueError(
                f"expected no pairs of a miner for {type(self).__name__}, which weighs all pairs itself; leave the "
                "miner out, or wrap a loss of pytorch-metric-learning: FromPML(loss, miner)"
            )
        if (ref_emb is None) != (ref_labels is None) or (ref_emb is not None and candidates is not None):
            raise ValueError("expected ref_emb with ref_labels, or candidates, or neither")
        if ref_emb is not None:
            candidates = Candidates(ref_emb, _as_tensor(ref_labels, ref_emb), offset=None)
        return super().__call__(embeddings, _as_tensor(labels, embeddings), candidates, **more)  # type: ignore[no-any-return]

    @property
    def takes_modalities(self) -> bool:
        """Whether the loss is called with ``modalities=`` (A,) bool as well."""
        return False

    def default_weight(self, kind: ObjectKind | None = None) -> float:
        """Return the weight beside an identity loss, where none is named: its paper's for what the pictures show."""
        return 1.0

    @abstractmethod
    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss.

        Args:
            embeddings: (A, D), the anchors.
            labels: (A,) of any integer type, who they show.
            candidates: What they are compared with; None for one another.
        """


def _as_tensor(labels: Any, embeddings: Tensor) -> Tensor:
    return labels if isinstance(labels, Tensor) else torch.as_tensor(labels, device=embeddings.device)


def mean_over_anchors(terms: Tensor, candidates: Candidates | None) -> Tensor:
    """Return the mean of terms (A,); of all ranks' where the candidates are all ranks'."""
    return (gather(terms) if candidates is not None and candidates.gathered else terms).mean()


class PairLoss(Loss):
    """Base class of losses over pairs: a matrix of measures, a term for each anchor, one number.

    A subclass names its `measure`, says in `per_anchor` what each row of the matrix gives, and, unless that is the mean
    over anchors, in `reduce` what the rows give together.

    Where an anchor or a live candidate has a component that is not finite, the loss is NaN, and so is its gradient.
    """

    measure: Measure | Callable[[Pairs], Tensor]
    """Pairs -> (A, C); a `Measure`, as those of `reseen.geometry` are, where `num_hardest` is given."""

    num_hardest: int | None = None
    """A row's term depends on so many of its hardest negatives, and of its positives, only; None: on all of them."""

    positives: Literal["hardest", "easiest"] = "hardest"
    """Which positives these are."""

    @abstractmethod
    def per_anchor(self, measured: Tensor, pair: Relation) -> Tensor:
        """Return each row's term (rows,) or terms (rows, k) from the matrix (rows, C) and its relation."""

    def reduce(self, terms: Tensor, labels: Tensor, anchor_mask: Tensor) -> Tensor:
        """Return the loss of the anchors that count.

        Args:
            terms: (A,) or (A, k), from `per_anchor`.
            labels: (A,).
            anchor_mask: (A,) bool, which anchors count.
        """
        return masked_mean(terms, anchor_mask, dim=0)

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss; see `Loss.forward`."""
        with torch.autocast(embeddings.device.type, enabled=False):
            pairs = compare(embeddings, labels, candidates)
            terms, labels, crossing = self._terms(pairs), pairs.labels, pairs.candidates.crossing
            infrared = torch.zeros_like(labels, dtype=torch.bool) if crossing is None else crossing.modalities
            if pairs.candidates.gathered:
                terms, labels, infrared = gather(terms), gather(labels), gather(infrared)
            loss = self.reduce(terms, labels, ~infrared)
            if crossing is not None:
                forth, back = crossing.weights
                loss = forth * loss + back * self.reduce(terms, labels, infrared)
            # A loss must not look ordinary because what is not finite lies in pairs that it does not look at.
            live = pairs.candidates.embeddings
            total = live.detach().sum() if live is pairs.anchors else live.detach().sum() + pairs.anchors.detach().sum()
            return loss * (1 + 0 * total)

    def _terms(self, pairs: Pairs) -> Tensor:
        if self.num_hardest is not None and pairs.candidates.stored:
            if not isinstance(self.measure, Measure):
                raise ValueError(
                    f"expected {type(self).__name__}.measure to be a reseen.geometry.Measure, which says if higher is "
                    f"more alike, to mine past embeddings by, got {self.measure!r}; subclass Measure"
                )
            return self.per_anchor(*mine(pairs, self.measure, self.num_hardest, positives=self.positives))
        measured = self.measure(pairs)
        cuts = list(row_blocks(*measured.shape))
        if len(cuts) == 1 or torch.compiler.is_compiling():
            return self.per_anchor(measured, pairs.relation())
        stored = (tensor for each in pairs.candidates.stored for tensor in (each.labels, each.filled))
        return cast(Tensor, _ByRows.apply(measured, self.per_anchor, pairs, cuts, *stored))


class ClassifierLoss(Loss):
    """Base class of losses with a weight vector for each identity, built once the number of identities is known.

    Args:
        num_identities: None until `build` is called.
        dim: Components of the embedding; None likewise.

    Raises:
        ValueError: One of the two numbers only was given, or the loss is called before it has a size.
    """

    weight: Tensor | None
    """(num_identities, dim)."""

    def __init__(self, num_identities: int | None = None, dim: int | None = None):
        super().__init__()
        if (num_identities is None) != (dim is None):
            raise ValueError(f"expected num_identities and dim, or neither, got {num_identities} and {dim}")
        self.register_parameter("weight", None)
        if num_identities is not None and dim is not None:
            self.build(num_identities, dim)

    def __call__(self, embeddings: Tensor, labels: Tensor | ArrayLike, *rest: Any, **more: Any) -> Tensor:
        """Return the loss, see `Loss`.

        Raises:
            ValueError: A label is not that of an identity (on a GPU torch stops the process instead).
        """
        try:
            return super().__call__(embeddings, labels, *rest, **more)
        except (IndexError, RuntimeError) as error:
            asked = _as_tensor(labels, embeddings)
            if self.weight is not None and asked.numel():
                least, most = int(asked.min()), int(asked.max())
                if least < 0 or most >= len(self.weight):
                    raise ValueError(
                        f"expected labels from 0 to {len(self.weight) - 1} for {type(self).__name__} of "
                        f"{len(self.weight)} identities, got {least} to {most}; number the identities from 0 on"
                    ) from error
            raise

    def build(self, num_identities: int, dim: int) -> None:
        """Make the parameters: num_identities labels from 0 on, embeddings of dim components."""
        self.weight = nn.Parameter(self.initial_weight(num_identities, dim))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take the size from a saved weight where there is none yet."""
        saved = state_dict.get(f"{prefix}weight")
        if self.weight is None and saved is not None:
            self.build(*saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @abstractmethod
    def initial_weight(self, num_identities: int, dim: int) -> Tensor:
        """Return the weights (num_identities, dim) to begin with."""

    def checked_weight(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings (A, D) of at least 32 bits, labels as int64 and the weights, checked to fit one another."""
        pairs = compare(embeddings, labels)
        anchors = pairs.anchors
        if self.weight is None:
            raise ValueError(
                f"expected {type(self).__name__} to know its identities, got a call before; "
                f"give num_identities and dim, or call build(num_identities, dim)"
            )
        if self.weight.shape[1] != anchors.shape[1]:
            raise ValueError(f"expected embeddings (A, {self.weight.shape[1]}), got {tuple(anchors.shape)}")
        return anchors, pairs.labels, self.weight.to(anchors.dtype)


class _ByRows(torch.autograd.Function):
    """Terms of a wide matrix, a few rows at a time, so that the steps between never exist at full size.

    The gradient runs them again: cheaper than the traffic of a dozen matrices as large as the products.
    """

    @staticmethod
    def forward(
        measured: Tensor,
        terms: Callable[[Tensor, Relation], Tensor],
        pairs: Pairs,
        cuts: list[slice],
        *stored: Tensor,
    ) -> Tensor:
        return torch.cat([terms(measured[rows], pairs.relation(rows)) for rows in cuts])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        measured, ctx.terms, ctx.pairs, ctx.cuts, *stored = inputs
        # What the gradient reads again from a memory is saved, so that torch refuses it once it has been written to.
        ctx.save_for_backward(measured, *stored)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        measured, *stored = ctx.saved_tensors
        none = [None] * (3 + len(stored))
        if torch.is_grad_enabled():  # Second derivatives are wanted: the whole at once, differentiable.
            vjp = torch.func.vjp(lambda m: ctx.terms(m, ctx.pairs.relation()), measured)[1]
            return vjp(grad)[0], *none
        out = torch.empty_like(measured)
        for rows in ctx.cuts:
            with torch.enable_grad():
                part = measured[rows].detach().requires_grad_()
                terms = ctx.terms(part, ctx.pairs.relation(rows))
            (out[rows],) = torch.autograd.grad(terms, part, grad[rows])
        return out, *none


class Wrapper(Loss):
    """Base class of wrappers: losses that call another with other candidates.

    Args:
        loss: The other.
    """

    def __init__(self, loss: Loss):
        super().__init__()
        self.loss = loss
        self.role = loss.role
        self.learning_rate = loss.learning_rate

    @property
    def takes_modalities(self) -> bool:
        """Whether the loss is called with ``modalities=`` (A,) bool as well: where the one inside is."""
        return self.loss.takes_modalities

    def default_weight(self, kind: ObjectKind | None = None) -> float:
        """Return the weight of the loss inside."""
        return self.loss.default_weight(kind)

    def require_pair_loss(self) -> None:
        """Raise ValueError unless the loss inside, through all wrappers, is over pairs."""
        loss = self.loss
        while isinstance(loss, Wrapper):
            loss = loss.loss
        if not isinstance(loss, PairLoss):
            raise ValueError(f"expected a loss over pairs in {type(self).__name__}, got {type(loss).__name__}")

    def candidates_or_batch(
        self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None, modalities: Tensor | None
    ) -> Candidates:
        """Return the candidates, in the absence of any the batch itself."""
        return Candidates(embeddings, labels, 0, modalities=modalities) if candidates is None else candidates

    def call_loss(
        self, embeddings: Tensor, labels: Tensor, candidates: Candidates, modalities: Tensor | None
    ) -> Tensor:
        """Return the loss inside, told the modalities where it takes them."""
        if self.loss.takes_modalities:
            return self.loss(embeddings, labels, candidates, modalities=modalities)
        return self.loss(embeddings, labels, candidates)
