"""Published weights into a backbone: strictly, with an account of every tensor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from reseen.errors import CheckpointError

logger = logging.getLogger(__name__)

# Classifiers and necks of the network that the weights come from. A backbone has no place for them.
HEADS = ("classifier.", "fc.", "head.", "heads.", "head_dist.", "bottleneck.")


@dataclass(frozen=True)
class WeightsReport:
    """What became of the tensors of some weights.

    Attributes:
        source: Where they came from.
        used: Names in the network that took a tensor.
        renamed: Name in the source -> name in the network, where the two differ.
        left: Names in the source which nothing took: classifiers, and what the backbone has no place for.
        kept: Names in the network which the source does not have and which keep their first values.
    """

    source: str
    used: tuple[str, ...]
    renamed: dict[str, str]
    left: tuple[str, ...]
    kept: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.source}: {len(self.used)} tensors used, {len(self.renamed)} of them renamed, "
            f"{len(self.left)} left{_some(self.left)}, {len(self.kept)} of the network's own kept{_some(self.kept)}"
        )


def load_weights(
    network: nn.Module, tensors: dict[str, Tensor], *, source: str, renamed: dict[str, str] | None = None
) -> WeightsReport:
    """Put tensors into a network that must find all its own among them, and say what became of each.

    Args:
        network: Takes the tensors; nothing is changed unless all fit.
        tensors: Under the network's names.
        source: For the report and the error.
        renamed: Name in the source -> name in the network, for the report.

    Raises:
        CheckpointError: A tensor of the network is missing or has another shape, or one is left over which belongs to
            no classifier: these are the weights of another network.
    """
    own = network.state_dict()
    missing = [n for n in own if n not in tensors and not n.endswith("num_batches_tracked")]
    shapes = [
        f"{n} {tuple(tensors[n].shape)} for {tuple(own[n].shape)}"
        for n in own
        if n in tensors and tensors[n].shape != own[n].shape
    ]
    left = [n for n in tensors if n not in own]
    strange = [n for n in left if not n.startswith(HEADS)]
    if missing or shapes or strange:
        raise CheckpointError(
            f"expected the weights of this {type(network).__name__} in {source}, got those of another network: "
            f"{len(missing)} tensors missing{_some(missing)}, {len(shapes)} of another shape{_some(shapes)}, "
            f"{len(strange)} unknown{_some(strange)}; choose the backbone that they were trained with"
        )
    used = [n for n in own if n in tensors]
    network.load_state_dict({n: tensors[n] for n in used}, strict=False)
    report = WeightsReport(source, tuple(used), renamed or {}, tuple(left), ())
    logger.info("%s", report)
    return report


def _some(names: Sequence[str], shown: int = 3) -> str:
    if not names:
        return ""
    return f" ({', '.join(names[:shown])}{', ...' if len(names) > shown else ''})"
