"""Two streams: each modality through its own modules, rows in their order."""

import copy

import pytest
import torch
from torch import nn

from reseen.models import Embedder, ModalityOptions, ModelSpec, SideInfo, TwoStream
from reseen.models.layers.two_stream import route

SPEC = ModelSpec("timm:resnet18", 64, 32, modalities=ModalityOptions(stems=True))
IMAGES = torch.randint(0, 256, (5, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
MODALITIES = torch.tensor([1, 0, 1, 1, 0])


def test_each_row_goes_through_the_module_of_its_modality() -> None:
    modules = [nn.Linear(3, 2), nn.Linear(3, 2)]
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    modalities = torch.tensor([1, 0, 0, 1, 1, 0])
    expected = torch.stack([modules[m](row) for m, row in zip(modalities.tolist(), x, strict=True)])
    torch.testing.assert_close(route(modules, x, modalities), expected)


@pytest.mark.parametrize("modality", [0, 1])
def test_a_batch_of_one_modality_is_taken(modality: int) -> None:
    modules = [nn.Linear(3, 2), nn.Linear(3, 2)]
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(route(modules, x, torch.full((4,), modality)), modules[modality](x))


def test_modalities_are_asked_for_and_checked() -> None:
    with pytest.raises(ValueError, match="expected modalities"):
        Embedder(SPEC)(IMAGES)
    with pytest.raises(ValueError, match="expected 5 modalities of 0 to 1"):
        Embedder(SPEC)(IMAGES, modalities=torch.tensor([0, 1, 2, 0, 0]))


def test_at_first_both_streams_are_the_network_itself() -> None:
    torch.manual_seed(0)
    single = Embedder(ModelSpec("timm:resnet18", 64, 32)).eval()
    torch.manual_seed(0)
    double = Embedder(SPEC).eval()
    torch.testing.assert_close(double.embed(IMAGES, modalities=MODALITIES), single.embed(IMAGES))


def test_only_the_stem_is_there_twice() -> None:
    def count(spec: ModelSpec) -> int:
        return sum(p.numel() for p in Embedder(spec).parameters())

    stem = 3 * 64 * 7 * 7 + 2 * 64
    assert count(SPEC) == count(ModelSpec("timm:resnet18", 64, 32)) + stem


def test_a_modality_moves_only_its_own_stem() -> None:
    model = Embedder(SPEC)
    model(IMAGES, modalities=torch.zeros(5, dtype=torch.int64)).embedding.square().sum().backward()
    two_stream = model.network.backbone
    assert isinstance(two_stream, TwoStream)
    assert all(p.grad is None for p in two_stream.infrared.parameters())
    assert all(p.grad is not None for p in two_stream.backbone.parameters())


def test_a_copy_of_the_model_keeps_its_streams_apart() -> None:
    model = Embedder(SPEC).eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    before = model.embed(IMAGES, modalities=MODALITIES)
    assert before.any()
    assert not twin.network.backbone(torch.ones(1, 3, 64, 32), SideInfo(modalities=torch.tensor([1]))).any()
