"""MoReID: momentum training with a large dictionary of negatives.

Lee, Eum, Kwon, Negative Samples are at Large, ECCV 2022. A second encoder follows the network slowly and is never
trained; what it makes of each batch is kept in a dictionary, whose keys, though of many steps, are therefore alike.

Dimensions: B pictures of this rank's batch, N of all ranks' together, D components of an output.
"""

import copy
import dataclasses
from collections.abc import Collection, Mapping
from fnmatch import filter as matching
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from reseen.distributed import gather, of_first_rank, require_equal
from reseen.geometry import Candidates
from reseen.losses import MemoryBank
from reseen.models import Embedder, Outputs
from reseen.training.candidate_source import CandidateSource
from reseen.training.key_diagnosis import KeySample, hardness
from reseen.training.objective import dim_of, output

Buffers = Literal["own", "synchronised", "copied", "averaged"]
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


class MoReID(CandidateSource):
    """Candidate source with a momentum encoder's keys of past batches, beside the batch itself.

    After each step of the optimiser ``key weights = momentum * key weights + (1 - momentum) * weights``. A batch's keys
    are queued after its loss, so that no picture meets its own copy; on several ranks all ranks' keys, in the order of
    the ranks, so that every rank has the same dictionary. Any loss over pairs compares with it, on any output.

    Args:
        momentum: From 0, for the network itself, to 1, for the network as it was at the start.
        memory_size: How many keys to keep, the newest.
        warmup: Steps of the optimiser before the dictionary is used; it fills meanwhile.
        same_identity: Past keys of an anchor's own identity are neither positive nor negative (``exclude``), or they
            are positives (``positive``), the ablation of the supplement's section C.
        buffers: What the key encoder's batch norms normalise by. ``own``: the rank's batch of keys, as the network's
            do, with running statistics of their own. ``synchronised``: all ranks' keys. ``copied``: the network's
            running statistics. ``averaged``: these, followed with ``momentum`` as the weights are.
        batch: The batch is compared with itself as the network embeds it (``queries``), with gradient on both
            sides, or with its own keys (``keys``).
        output: Which outputs have a dictionary, a name or pattern, of those that a loss over pairs is taken on.

    Raises:
        ValueError: A number is out of range, an option unknown, or there is no loss over pairs to use a dictionary.

    Note:
        The supplement does not say which encoder embeds the current batch's positives, nor how keys are normalised.
        With these defaults training without a dictionary is plain training. The key encoder drops nothing out. A loss
        wants an output behind a batch norm, as in the published configuration: one that nothing holds in its place can
        leave all past keys behind at once, which makes their distances large and tells nobody apart.
    """

    def __init__(
        self,
        momentum: float = 0.997,
        memory_size: int = 8192,
        *,
        warmup: int = 0,
        same_identity: Literal["exclude", "positive"] = "exclude",
        buffers: Buffers = "own",
        batch: Literal["queries", "keys"] = "queries",
        output: str = "*",
    ) -> None:
        if not 0 <= momentum <= 1 or memory_size < 1 or warmup < 0:
            raise ValueError(
                f"expected momentum from 0 to 1, memory_size from 1 and warmup from 0 on, "
                f"got {momentum}, {memory_size}, {warmup}"
            )
        for value, known in (
            (same_identity, ("exclude", "positive")),
            (buffers, ("own", "synchronised", "copied", "averaged")),
            (batch, ("queries", "keys")),
        ):
            if value not in known:
                raise ValueError(f"expected {' or '.join(known)}, got {value!r}")
        self.momentum = momentum
        self.memory_size = memory_size
        self.warmup = warmup
        self.same_identity = same_identity
        self.buffers: Buffers = buffers
        self.batch = batch
        self.output = output
        self.options = dict(vars(self))

    def setup(self, model: Embedder, outputs: Collection[str]) -> None:
        """Make the key encoder, and a dictionary for each output."""
        chosen = matching(outputs, self.output)
        if not chosen:
            described = f"on {', '.join(outputs)}" if outputs else "none"
            raise ValueError(
                f"expected a loss over pairs on {self.output!r} to use the dictionary, got {described}; add one"
            )
        self.encoder = KeyEncoder(model, self.momentum, self.buffers)
        device = next(model.parameters()).device
        self.dictionaries = {name: MemoryBank(self.memory_size, dim_of(name, model.dims)).to(device) for name in chosen}
        self.steps = self.queued = 0
        self.sample: KeySample | None = None
        self.compared: dict[str, tuple[Tensor, Tensor, Candidates]] = {}

    def candidates(
        self, outputs: Outputs, images: Tensor, labels: Tensor, modalities: Tensor | None
    ) -> Mapping[str, Candidates]:
        """Return the batch and, behind it, the dictionary; then queue the batch's keys."""
        require_equal(len(labels))
        encoded = self.encoder(images, modalities)
        keys = {name: output(encoded, name) for name in self.dictionaries}
        infrared = None if modalities is None else modalities.bool()
        everyone = gather(labels), None if infrared is None else gather(infrared)
        filled = min(self.queued, self.memory_size) if self.steps >= self.warmup else 0
        candidates = {}
        for name, dictionary in self.dictionaries.items():
            past = dictionary.recall("keep" if self.same_identity == "positive" else "exclude").part(0, filled)
            query = output(outputs, name)
            live = Candidates(query if self.batch == "queries" else keys[name], labels, modalities=infrared)
            candidates[name] = dataclasses.replace(live, stored=(past,)) if filled else live
            self.compared[name] = (
                query.detach(),
                labels,
                dataclasses.replace(candidates[name], embeddings=live.embeddings.detach()),
            )
            dictionary.push(gather(keys[name]), *everyone)  # written when next recalled: after this step
        if self.sample is None or self.queued - self.sample.since >= self.memory_size:
            self.sample = KeySample(images, modalities, keys, since=self.queued)
        self.queued += len(everyone[0])
        return candidates

    def on_step_end(self, model: Embedder) -> None:
        """Let the key encoder follow the network."""
        self.encoder.follow(model)
        self.steps += 1

    def metrics(self) -> dict[str, float]:
        """Return how alike old keys are to new ones of the same pictures, and what `hardness` finds, on each output.

        The pictures are one batch, until it leaves the dictionary and another takes its place; its age comes along.
        Several ranks' figures are the first one's.
        """
        figures: dict[str, float] = {}
        if self.sample is not None:
            now = self.encoder(self.sample.images, self.sample.modalities)
            figures["age of the sampled keys"] = (self.queued - self.sample.since) / self.memory_size
            for name in self.dictionaries:
                figures[f"cosine of old to new keys on {name}"] = self.sample.likeness(name, output(now, name)).item()
        for name, compared in self.compared.items():
            figures |= {f"{what} on {name}": value for what, value in hardness(*compared).items()}
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return the key encoder, the dictionaries, the counters, the sample, and the options to check."""
        return {
            "options": self.options,
            "encoder": self.encoder.network.state_dict(),
            "dictionaries": {name: dictionary.state_dict() for name, dictionary in self.dictionaries.items()},
            "counters": {"steps": self.steps, "queued": self.queued},
            "sample": None if self.sample is None else self.sample.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what ``state_dict`` gave.

        Raises:
            ValueError: It is of other options, or of no momentum training.
        """
        if state.get("options") != self.options:
            raise ValueError(f"its candidate source has {state.get('options')}, and now MoReID has {self.options}")
        self.encoder.network.load_state_dict(state["encoder"])
        for name, dictionary in self.dictionaries.items():
            dictionary.load_state_dict(state["dictionaries"][name])
        self.steps, self.queued = state["counters"]["steps"], state["counters"]["queued"]
        device = next(self.encoder.network.parameters()).device
        self.sample = None if state["sample"] is None else KeySample.load(state["sample"], device)


class KeyEncoder:
    """Momentum encoder: an exponential moving average of the network (the paper's forward-only encoder).

    Args:
        model: The network; copied as it is now.
        momentum: Share of itself that the copy keeps at each step.
        buffers: See `MoReID`.
    """

    def __init__(self, model: Embedder, momentum: float, buffers: Buffers) -> None:
        self.network = copy.deepcopy(model).requires_grad_(False).eval()
        self.buffers = buffers
        self.momentum = momentum
        for norm in self.network.modules():
            if isinstance(norm, BatchNorm) and buffers == "own":
                norm.train()
            elif isinstance(norm, BatchNorm) and buffers == "synchronised":
                norm.register_forward_pre_hook(take_statistics)

    @torch.no_grad()
    def __call__(self, images: Tensor, modalities: Tensor | None) -> Outputs:
        """Return the keys of pictures (B, 3, H, W), without gradient and at the cost of an inference pass."""
        outputs: Outputs = self.network(images, modalities=modalities)
        return outputs

    @torch.no_grad()
    def follow(self, model: Embedder) -> None:
        """Move the weights a step towards the network's, and treat the running statistics as was chosen."""
        average = get_ema_multi_avg_fn(self.momentum)  # type: ignore[no-untyped-call]
        average(list(self.network.parameters()), list(model.parameters()), 0)
        if self.buffers in ("copied", "averaged"):
            own, theirs = ([b for b in m.buffers() if b.is_floating_point()] for m in (self.network, model))
            # The first rank's statistics are those that all ranks take for their next step.
            average = get_ema_multi_avg_fn(self.momentum if self.buffers == "averaged" else 0.0)  # type: ignore[no-untyped-call]
            average(own, of_first_rank(theirs), 0)


def take_statistics(norm: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
    """Have a norm in evaluation mode normalise by its inputs' own statistics, over all ranks' equal parts."""
    x = inputs[0].float().transpose(0, 1).flatten(1)
    each = gather(torch.stack(torch.var_mean(x, dim=1, correction=0))[None])  # (ranks, 2, channels)
    variance, mean = each.unbind(1)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean.mean(0))
    norm.running_var.copy_(variance.mean(0) + mean.var(0, correction=0))
