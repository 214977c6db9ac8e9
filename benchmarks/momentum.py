"""What MoReID adds to a training step: the key encoder's pass, and a dictionary of 65,536 keys of 2,048 components.

A ResNet-50 at 256 x 128, 64 pictures, CE and HE loss, plain SGD. The steps take turns in one run, so that their ratios
hold on a machine that is not idle.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.memory import fastest, use_all_cores, verdict

from reseen.losses import HELoss, IdentityLoss
from reseen.models import Embedder, ModelSpec, eval_mode
from reseen.training import BatchCandidates, CandidateSource, MoReID, Objective, Term

BATCH, PER_IDENTITY, IDENTITIES, SLOTS = 64, 4, 751, 65_536
REPEATS = 3


def main() -> None:
    use_all_cores()
    torch.manual_seed(0)
    model = Embedder(ModelSpec("timm:resnet50.tv_in1k", height=256, width=128), pretrained=False)
    objective = Objective(model, [Term(IdentityLoss()), Term(HELoss())], IDENTITIES).train()
    optimizer = torch.optim.SGD((p for p in objective.parameters() if p.requires_grad), lr=1e-4)
    images = torch.randint(0, 256, (BATCH, 3, 256, 128), dtype=torch.uint8)
    labels = torch.arange(BATCH) // PER_IDENTITY

    def step(candidates: CandidateSource) -> Callable[[], None]:
        candidates.setup(model, objective.pair_outputs)

        def work() -> None:
            objective(images, labels, None, candidates).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            candidates.on_step_end(model)

        return work

    keys_only, whole = MoReID(memory_size=BATCH, warmup=10**9), MoReID(memory_size=SLOTS)
    steps = [step(candidates) for candidates in (BatchCandidates(), keys_only, whole)]
    (dictionary,) = whole.dictionaries.values()
    dictionary.push(torch.randn(SLOTS, model.dims["embedding"]), torch.randint(IDENTITIES, (SLOTS,)))
    whole.queued = SLOTS

    def key_encoder() -> None:
        whole.encoder(images, None)

    def inference() -> None:
        with eval_mode(model), torch.inference_mode():
            model.embed(images)

    plain, with_keys, with_dictionary, keys, embedded = fastest(*steps, key_encoder, inference, repeats=REPEATS)
    print(f"  plain step {plain:.2f} s, with keys {with_keys:.2f} s, with {SLOTS:,} of them {with_dictionary:.2f} s")
    print(f"  key encoder by itself {keys:.2f} s, {keys / embedded:.2f} times an inference pass")
    print(f"  keys, over a plain step: {(with_keys - plain) / plain:.2f}")
    verdict("dictionary, over a plain step", (with_dictionary - with_keys) / plain, most=0.1)


if __name__ == "__main__":
    main()
