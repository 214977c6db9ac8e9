"""Candidate sources: the candidates of each batch, and updates after each step.

The loop calls a source's methods and knows nothing of it. ``BatchCandidates`` compares a batch with itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from reseen.geometry import Candidates
from reseen.models import Embedder, Outputs


class CandidateSource(ABC):
    """Base class of candidate sources: the candidates of a batch, and updates after a step.

    What a source has no use for it need not define: by default nothing is kept, followed, logged or saved.
    """

    def setup(self, model: Embedder, outputs: Collection[str]) -> None:  # noqa: B027
        """Make what the source keeps beside the network; called once, when the network is where it trains.

        Args:
            model: The network.
            outputs: Names of those that a loss over pairs is taken on.
        """

    def on_batch(self, rows: Tensor) -> None:  # noqa: B027
        """Take note of which training pictures (B,) the next batch shows."""

    @abstractmethod
    def candidates(
        self, outputs: Outputs, images: Tensor, labels: Tensor, modalities: Tensor | None
    ) -> Mapping[str, Candidates]:
        """Return what the losses compare a batch with, by name of the output; the batch itself where it is absent.

        Args:
            outputs: Of the network, for the batch.
            images: (B, 3, H, W) uint8.
            labels: (B,).
            modalities: (B,) int64, or None.
        """

    def on_step_end(self, model: Embedder) -> None:  # noqa: B027
        """Follow a step of the optimiser."""

    def metrics(self) -> Mapping[str, float]:
        """Return metrics of the source for the run's log; called on all ranks, every ``log_every`` steps only."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what ``state_dict`` gave.

        Raises:
            ValueError: The state is another source's.
        """
        if state:
            raise ValueError(f"it has the state of a candidate source ({', '.join(state)}), and now there is none")


class BatchCandidates(CandidateSource):
    """Candidate source of plain training: each batch is compared with itself."""

    def candidates(
        self, outputs: Outputs, images: Tensor, labels: Tensor, modalities: Tensor | None
    ) -> Mapping[str, Candidates]:
        """Return nothing: the batch itself."""
        return {}
