"""What a network costs, against counts by hand."""

import torch

from reseen.models import Complexity, Embedder, ModalityOptions, ModelSpec, complexity


def test_a_stem_is_counted_by_hand() -> None:
    spec = ModelSpec("timm:resnet18", 64, 32, neck="none")
    more = ModelSpec("timm:resnet18", 64, 32, neck="none", modalities=ModalityOptions(stems=True))
    one, two = (complexity(Embedder(s), batch=2, repeats=1) for s in (spec, more))
    # The second stem adds its weights, and no arithmetic for a picture of the first.
    assert two.parameters - one.parameters == 3 * 64 * 49 + 2 * 64
    assert two.flops == one.flops
    assert one.batch == 2
    assert one.images_per_second > 0


def test_a_linear_reduction_adds_its_product() -> None:
    plain, reduced = (
        complexity(Embedder(ModelSpec(height=64, width=32, neck="none", dim=d)), batch=1, repeats=1) for d in (None, 10)
    )
    assert isinstance(plain, Complexity)
    assert reduced.parameters - plain.parameters == 512 * 10
    assert reduced.flops - plain.flops == 2 * 512 * 10


def test_the_mode_and_the_running_values_are_left() -> None:
    model = Embedder(ModelSpec(height=64, width=32)).train()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    complexity(model, batch=2, repeats=1)
    assert model.training
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
