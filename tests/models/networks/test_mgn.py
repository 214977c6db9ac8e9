"""MGN: names, dimensions and parameters as in the paper, and what its branches share."""

import keyword

import pytest
import torch

from reseen.models import Embedder, ModelSpec, ResNetOptions

NAMES = ["global", "global_2", "part_2_1", "part_2_2", "global_3", "part_3_1", "part_3_2", "part_3_3"]
SMALL = ModelSpec("timm:resnet18", 96, 32, network="mgn", dim=7)


def images(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 96, 32), dtype=torch.uint8, generator=generator)


def bottleneck(inputs: int, middle: int, *, projected: bool) -> int:
    """Parameters of a residual block: three convolutions with their norms, and a shortcut where sizes change."""
    outputs = 4 * middle
    own = inputs * middle + 9 * middle * middle + middle * outputs + 2 * (2 * middle + outputs)
    return own + (inputs * outputs + 2 * outputs if projected else 0)


def test_parameters_are_the_papers() -> None:
    stem = 3 * 64 * 49 + 2 * 64
    second = bottleneck(64, 64, projected=True) + 2 * bottleneck(256, 64, projected=False)
    third = bottleneck(256, 128, projected=True) + 3 * bottleneck(512, 128, projected=False)
    trunk = stem + second + third + bottleneck(512, 256, projected=True)
    tail = 5 * bottleneck(1024, 256, projected=False)
    tail += bottleneck(1024, 512, projected=True) + 2 * bottleneck(2048, 512, projected=False)
    # A 1x1 convolution from 2048 to 256 without bias, and a norm, for each of the eight vectors.
    reductions = 8 * (2048 * 256 + 2 * 256)
    model = Embedder(ModelSpec("timm:resnet50", 384, 128, network="mgn"))
    assert sum(p.numel() for p in model.parameters()) == trunk + 3 * tail + reductions


def test_names_and_dimensions_are_the_papers() -> None:
    model = Embedder(ModelSpec("timm:resnet18", 96, 32, network="mgn"))
    outputs = model(images())
    assert list(outputs.branches) == NAMES
    assert all(v.shape == (3, 256) for v in outputs.branches.values())
    assert outputs.embedding.shape == (3, 2048)
    assert model.dims == {"feature": 2048, "embedding": 2048} | {f"branch.{n}": 256 for n in NAMES}
    torch.testing.assert_close(outputs.embedding, torch.cat(list(outputs.branches.values()), dim=1))


@pytest.mark.parametrize(("last_stride", "rows"), [(1, (6, 6, 6)), (2, (3, 6, 6))])
def test_only_the_whole_keeps_a_last_stride(last_stride: int, rows: tuple[int, ...]) -> None:
    # The paper's table 1: the global branch's map is half as high as those that are cut in strips.
    options = ResNetOptions(last_stride=last_stride)  # type: ignore[arg-type]
    model = Embedder(ModelSpec("timm:resnet18", 96, 32, network="mgn", resnet=options)).eval()
    heights: list[int] = []
    for tail in (model.network.backbone.network.layer4, *model.network.tails):
        tail.register_forward_hook(lambda module, inputs, output: heights.append(output.shape[2]))
    model(images())
    assert tuple(heights) == rows


def test_a_part_depends_on_its_own_strip_alone() -> None:
    model = Embedder(SMALL).eval().network
    shared = torch.rand(1, 256, 6, 2, generator=torch.Generator().manual_seed(0))
    tails = [model._parts.tail, *model.tails]
    for strips, tail in ((2, tails[1]), (3, tails[2])):
        features = tail(shared)
        pooled = model.pooling(features, strips)
        for i in range(strips):
            rows = slice(i * 6 // strips, (i + 1) * 6 // strips)
            torch.testing.assert_close(pooled[:, :, i], features[:, :, rows].amax((2, 3)))


def test_tails_start_alike_and_part_in_training() -> None:
    torch.manual_seed(0)
    model = Embedder(SMALL)
    first, second = model.network.tails
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    outputs = model(images(4))
    outputs.branches["part_2_1"].square().sum().backward()
    assert any(p.grad is not None for p in first.parameters())
    assert all(p.grad is None for p in second.parameters())


def test_the_order_of_a_batch_is_kept() -> None:
    model = Embedder(SMALL).eval()
    torch.testing.assert_close(model.embed(images().flip(0)), model.embed(images()).flip(0), atol=1e-5, rtol=1e-4)


def test_fast_reids_necks_take_the_place_of_the_papers() -> None:
    model = Embedder(ModelSpec("timm:resnet18", 96, 32, network="mgn", neck="bnneck"))
    outputs = model(images(4))
    assert not torch.equal(outputs.feature, outputs.embedding)
    assert outputs.embedding.min() < 0
    torch.testing.assert_close(outputs.embedding.mean(0), torch.zeros(2048), atol=1e-5, rtol=0)


def test_every_module_has_a_name_that_exported_code_can_use() -> None:
    names = [part for name, _ in Embedder(SMALL).named_modules() for part in name.split(".")]
    assert not [n for n in names if keyword.iskeyword(n)]
