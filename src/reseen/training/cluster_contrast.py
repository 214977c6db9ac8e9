"""Cluster contrast: a memory of clusters, or of each camera's part of them, as candidates of pseudo-labelled training.

Dai et al., Cluster Contrast for Unsupervised Person Re-Identification, arXiv:2103.11568. A batch is compared with one
vector for each cluster, its proxy. With `SupConLoss` that is the paper's loss (equation 2), for an anchor q, proxies m
and a temperature t::

    L = -log( exp(q . m+ / t) / sum_k exp(q . m_k / t) )

and after each step the proxies follow the batch (equation 3), ``m <- momentum m + (1 - momentum) q``, at unit length.

With a proxy for each camera's part of a cluster, as in CAP (Wang et al., arXiv:2012.10674) and ICE (Chen et al.,
arXiv:2103.16364), an anchor has a positive under every camera that has seen its cluster, so that the loss is small only
where cameras agree (CAP, equation 6)::

    L = -1/|P| sum_{p in P} log( exp(q . m_p / t) / sum_{k in P or N} exp(q . m_k / t) )

A picture that is in no cluster may be one of its own, as in SpCL (Ge et al., arXiv:2006.02713, equation 1), whose
memory has cluster centroids c and instances v; the positive z+ of an anchor f is its cluster's, or itself::

    L = -log( exp(f . z+ / t) / ( sum_k exp(f . c_k / t) + sum_k exp(f . v_k / t) ) )

Here that is a label of a single picture, whose proxy is v and follows it as every other does.

Dimensions: N training pictures, M proxies, B pictures of this rank's batch, D components.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reseen.distributed import gather, require_equal
from reseen.geometry import Candidates
from reseen.models import Embedder, Outputs
from reseen.training.candidate_source import CandidateSource
from reseen.training.moreid import KeyEncoder
from reseen.training.objective import output


class ClusterContrast(CandidateSource):
    """Candidate source of pseudo-labelled training: one proxy for each cluster, or for each camera's part of it.

    Any loss over pairs compares with the proxies: `SupConLoss` for the paper's, or `AdaSPLoss`, `FIDILoss`.

    Args:
        vectors: (N, D) of the training pictures, by the network as it is at the start.
        labels: (N,) the cluster of each, 0 to C - 1, as the training loop numbers them.
        parts: (N,) what of its cluster a picture belongs to, integers, such as its camera; None for one proxy a
            cluster.
        momentum: Share of itself that a proxy keeps at a step that shows its pictures.
        update: ``mean``: a proxy follows the mean of its pictures in the batch; ``hardest``: the one least like it.
        positives: ``all`` proxies of an anchor's cluster; ``other``: those of the other parts only, so that an anchor
            of a cluster of one part has no positive (CAP's inter-camera loss).
        strangers: (S, D) vectors of pictures in no cluster, which are negatives for everybody and not trained on; None
            for none. They do not change.
        teacher: Momentum of a mean teacher, a copy of the network that follows it slowly: the proxies then follow what
            the teacher makes of the pictures (ICE, section 3.2). None: what the network itself makes of them.
        output: The output that is compared; those of other terms are compared with the batch.

    Raises:
        ValueError: A number is out of range, or the columns do not fit one another.

    Note:
        The paper updates a proxy with each picture of the batch in turn; here once, with their mean. CAP compares with
        the 50 nearest negative proxies and, besides, within each camera; here with all, in one loss. SpCL's
        instances are drawn as single pictures and its centroids are means of instances; here a single picture is drawn
        as often in a batch as a cluster is, each time varied anew, and all proxies are alike. Of MMT (Ge et al.,
        arXiv:2001.01526) there is the mean teacher, and neither its soft labels nor its second network.
    """

    def __init__(
        self,
        vectors: Tensor,
        labels: NDArray[np.int64],
        parts: NDArray[np.int64] | None = None,
        *,
        momentum: float = 0.1,
        update: Literal["mean", "hardest"] = "mean",
        positives: Literal["all", "other"] = "all",
        strangers: Tensor | None = None,
        teacher: float | None = None,
        output: str = "embedding",
    ) -> None:
        if not 0 <= momentum <= 1 or not 0 <= (teacher or 0) <= 1:
            raise ValueError(f"expected momentum and teacher from 0 to 1, got {momentum} and {teacher}")
        for option, known in ((update, ("mean", "hardest")), (positives, ("all", "other"))):
            if option not in known:
                raise ValueError(f"expected {' or '.join(known)}, got {option!r}")
        if labels.shape != (len(vectors),) or (parts is not None and parts.shape != labels.shape):
            raise ValueError(f"expected labels and parts ({len(vectors)},) beside the vectors, got {labels.shape}")
        self.momentum, self.update, self.positives, self.output = momentum, update, positives, output
        part = np.zeros_like(labels) if parts is None else parts
        named, proxy = np.unique(np.stack([labels, part], axis=1), axis=0, return_inverse=True)
        self.proxy = torch.from_numpy(proxy.reshape(-1).astype(np.int64))
        self.labels = torch.from_numpy(named[:, 0].copy())
        sums = torch.zeros(len(named), vectors.shape[1]).index_add_(0, self.proxy, F.normalize(vectors.float()))
        self.memory = F.normalize(sums)
        if strangers is not None and len(strangers):
            self.memory = torch.cat([self.memory, F.normalize(strangers.float())])
            beyond = int(self.labels.max()) + 1 + torch.arange(len(strangers))
            self.labels = torch.cat([self.labels, beyond])
        self.teacher = teacher
        self.options: dict[str, Any] = {"momentum": momentum, "update": update, "positives": positives}
        self.options |= {"teacher": teacher, "output": output}
        self.encoder: KeyEncoder | None = None
        self.seen: list[tuple[Tensor, Tensor]] = []

    def setup(self, model: Embedder, outputs: Collection[str]) -> None:
        """Move the memory to where the network is.

        Raises:
            ValueError: No loss over pairs stands on the output.
        """
        if self.output not in outputs:
            described = f"on {', '.join(outputs)}" if outputs else "none"
            raise ValueError(
                f"expected a loss over pairs on {self.output} to compare with clusters, got {described}; add one"
            )
        device = next(model.parameters()).device
        self.proxy, self.labels, self.memory = (x.to(device) for x in (self.proxy, self.labels, self.memory))
        if self.teacher is not None:
            self.encoder = KeyEncoder(model, self.teacher, "averaged")

    def on_batch(self, rows: Tensor) -> None:
        """Take note of the proxies (B,) of the next batch's pictures."""
        self.batch = self.proxy[rows.to(self.proxy.device)]

    def candidates(
        self, outputs: Outputs, images: Tensor, labels: Tensor, modalities: Tensor | None
    ) -> Mapping[str, Candidates]:
        """Return the proxies; what the network makes of the batch is kept for `on_step_end`."""
        require_equal(len(labels))
        followed = output(outputs if self.encoder is None else self.encoder(images, modalities), self.output)
        self.seen.append((gather(F.normalize(followed.detach().float())), gather(self.batch)))
        mask = None
        if self.positives == "other":
            mask = self.batch[:, None] != torch.arange(len(self.labels), device=labels.device)
        return {self.output: Candidates(self.memory, self.labels, None, kept=mask)}

    @torch.no_grad()
    def on_step_end(self, model: Embedder) -> None:
        """Let the proxies follow the pictures of the step's batches, and the teacher the network."""
        if self.encoder is not None:
            self.encoder.follow(model)
        memory = self.memory.clone()  # A gradient may still read the old one.
        for query, proxy in self.seen:
            if self.update == "hardest":
                likeness = (query * memory[proxy]).sum(1)
                least = likeness.new_full((len(memory),), torch.inf).scatter_reduce_(0, proxy, likeness, "amin")
                weight = (likeness == least[proxy]).to(query.dtype)
            else:
                weight = query.new_ones(len(query))
            count = weight.new_zeros(len(memory)).index_add_(0, proxy, weight)
            mean = torch.zeros_like(memory).index_add_(0, proxy, weight[:, None] * query) / count.clamp(min=1)[:, None]
            moved = F.normalize(self.momentum * memory + (1 - self.momentum) * mean)
            memory = torch.where(count[:, None] > 0, moved, memory)
        self.memory, self.seen = memory, []

    def state_dict(self) -> dict[str, Any]:
        """Return the proxies, whose they are, and the options to check."""
        encoder = None if self.encoder is None else self.encoder.network.state_dict()
        state = {"memory": self.memory, "labels": self.labels, "proxy": self.proxy, "encoder": encoder}
        return {"options": self.options, **state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what ``state_dict`` gave.

        Raises:
            ValueError: It is of other options or clusters, or of no memory of clusters.
        """
        if state.get("options") != self.options:
            raise ValueError(f"its candidate source has {state.get('options')}, and now it has {self.options}")
        for name in ("labels", "proxy"):
            if not torch.equal(state[name].cpu(), getattr(self, name).cpu()):
                raise ValueError("its memory is of other clusters")
        self.memory = state["memory"].to(self.memory.device)
        if self.encoder is not None:
            self.encoder.network.load_state_dict(state["encoder"])
