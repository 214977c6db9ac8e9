"""Strict loading of published weights, with an account of every tensor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn

from reseen.errors import CheckpointError
from reseen.models.backbones.base import Backbone
from reseen.models.weights.formats import FORMATS, Format, format_of, wrapper_of

logger = logging.getLogger(__name__)

# Classifiers and necks of the network that the weights come from. A backbone has no place for them.
HEADS = ("classifier.", "fc.", "head.", "heads.", "head_dist.", "bottleneck.")


@dataclass(frozen=True)
class WeightsReport:
    """Report of loading weights: tensors used, renamed, left and kept.

    Attributes:
        source: Where they came from.
        used: Names in the network that took a tensor.
        renamed: Name in the source -> name in the network, where the two differ.
        left: Names in the source which nothing took: classifiers, and what the network has no place for.
        kept: Names in the network which the source does not have and which keep their first values.
        format: The project whose names they bear.
    """

    source: str
    used: tuple[str, ...]
    renamed: dict[str, str]
    left: tuple[str, ...]
    kept: tuple[str, ...]
    format: str = "reseen"

    def __str__(self) -> str:
        counts = [f"loaded {len(self.used)} tensors"]
        if self.renamed:
            counts.append(f"{len(self.renamed)} of them under other names")
        if self.left:
            counts.append(f"{len(self.left)} in the file not needed{_some(self.left)}")
        if self.kept:
            counts.append(f"{len(self.kept)} of the model not in the file{_some(self.kept)}")
        return f"{self.source} ({self.format}): {', '.join(counts)}"


class LoadedBackbone(NamedTuple):
    """Result of loading a backbone: its report, and the tensors left for the head.

    Attributes:
        report: Of the backbone.
        head: Name in ``GlobalNetwork`` -> tensor, for pooling, reduction and neck.
        format: How the weights were named.
    """

    report: WeightsReport
    head: dict[str, Tensor]
    format: Format


def load_published(backbone: Backbone, tensors: dict[str, Tensor], *, source: str) -> LoadedBackbone:
    """Load weights into a backbone; their format is detected from parameter names.

    Non-local blocks and embeddings of cameras, which weights from ImageNet lack, may keep their first values.

    Raises:
        CheckpointError: These are the weights of another network; nothing is changed then.
    """
    own = [n.removeprefix(backbone.names) for n in backbone.state_dict()]
    wrapper = wrapper_of(tensors, own)
    form = format_of([n.removeprefix(wrapper) for n in tensors if n.startswith(wrapper)])
    tensors = form.convert(tensors)
    order = [n.removeprefix(wrapper) for n in tensors if n.startswith(wrapper)]
    names = {n: form.rename(n.removeprefix(wrapper), order, own) if n.startswith(wrapper) else None for n in tensors}
    here: dict[str, Tensor] = {}
    head: dict[str, Tensor] = {}
    left = [n for n, new in names.items() if new is None]
    for name, new in names.items():
        if new is None:
            continue
        bare = new.removeprefix("backbone.")
        if bare == new:
            head[new] = (
                tensors[name].flatten(1) if new.endswith(("reduction.weight", ".linear.weight")) else tensors[name]
            )
        else:
            full = bare if bare == "side" else backbone.names + bare
            here[full] = backbone.adapt(full, tensors[name])
    report = load_weights(backbone, here, source=source, optional=_may_be_new)
    left += [n.removeprefix(backbone.names) for n in report.left]
    renamed = {
        n: new.removeprefix("backbone.") for n, new in names.items() if new is not None and new != f"backbone.{n}"
    }
    return LoadedBackbone(replace(report, renamed=renamed, left=tuple(left), format=form.name), head, form)


def hub_weights(backbone: Backbone, name: str) -> LoadedBackbone:
    """Return the account of a backbone that timm made with weights from its hub."""
    own = tuple(n for n in backbone.state_dict() if _may_be_new(n))
    used = tuple(n for n in backbone.state_dict() if n not in own)
    return LoadedBackbone(WeightsReport(f"imagenet for {name}", used, {}, (), own, "timm"), {}, FORMATS[-1])


def load_head(network: nn.Module, published: LoadedBackbone) -> WeightsReport:
    """Put what published weights have for the head where the network has a place of that shape for it.

    Returns:
        The account of backbone and head together.

    Raises:
        CheckpointError: The weights are those of a whole network, and this is another one.
    """
    own = network.state_dict()
    used = {n: t for n, t in published.head.items() if n in own and own[n].shape == t.shape}
    if (needs := published.format.needs) is not None:
        filled = {f"backbone.{n}" for n in published.report.used} | set(used)
        missing = [n for n in own if n not in filled and not n.endswith("num_batches_tracked")]
        strange = [n for n in published.head if n not in used]
        if missing or strange:
            raise CheckpointError(
                f"expected a model with {needs} for {published.report.source} ({published.format.name}), got another: "
                f"{len(missing)} tensors missing{_some(missing)}, {len(strange)} without a place{_some(strange)}"
            )
    network.load_state_dict(used, strict=False)
    sources = {new: name for name, new in published.report.renamed.items()}
    left = [sources.get(n, n) for n in published.head if n not in used]
    report = published.report
    report = replace(
        report,
        used=report.used + tuple(used),
        renamed={name: new for name, new in report.renamed.items() if name not in left},
        left=report.left + tuple(left),
    )
    logger.info("%s", report)
    return report


def load_weights(
    network: nn.Module, tensors: dict[str, Tensor], *, source: str, optional: Callable[[str], bool] = lambda name: False
) -> WeightsReport:
    """Put tensors into a network that must find all its own among them, and say what became of each.

    Args:
        network: Takes the tensors; nothing is changed unless all fit.
        tensors: Under the network's names.
        source: For the report and the error.
        optional: Whether a name of the network may be missing.

    Raises:
        CheckpointError: A tensor of the network is missing or has another shape, or one is left over which belongs to
            no classifier: these are the weights of another network.
    """
    own = network.state_dict()
    absent = [n for n in own if n not in tensors and not n.endswith("num_batches_tracked")]
    missing = [n for n in absent if not optional(n)]
    shapes = [
        f"{n} {tuple(tensors[n].shape)} for {tuple(own[n].shape)}"
        for n in own
        if n in tensors and tensors[n].shape != own[n].shape
    ]
    left = [n for n in tensors if n not in own]
    prefix = network.names if isinstance(network, Backbone) else ""
    strange = [n for n in left if not n.removeprefix(prefix).startswith(HEADS)]
    if missing or shapes or strange:
        raise CheckpointError(
            f"expected the weights of this {_kind(network)} in {source}, got those of another network: "
            f"{len(missing)} tensors missing{_some(missing)}, {len(shapes)} of another shape{_some(shapes)}, "
            f"{len(strange)} unknown{_some(strange)}; choose the backbone that they were trained with"
        )
    used = [n for n in own if n in tensors]
    network.load_state_dict({n: tensors[n] for n in used}, strict=False)
    return WeightsReport(source, tuple(used), {}, tuple(left), tuple(absent))


def _may_be_new(name: str) -> bool:
    """Tell whether a name is of what is added to networks that have published weights."""
    return ".non_local." in name or name == "side"


def _kind(network: nn.Module) -> str:
    return type(getattr(network, "network", network)).__name__


def _some(names: Sequence[str], most: int = 3) -> str:
    if not names:
        return ""
    return f" ({', '.join(names[:most])}{', ...' if len(names) > most else ''})"
