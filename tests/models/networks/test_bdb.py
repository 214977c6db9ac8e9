"""BDB: names, dimensions and parameters as in the paper, and what the drop block hides."""

import pytest
import torch

from reseen.models import Embedder, ModelSpec
from reseen.models.networks.bdb import BatchDropBlock


def test_parameters_and_dimensions_are_the_papers() -> None:
    model = Embedder(ModelSpec("timm:resnet50", 384, 128, network="bdb"))
    backbone = 25_557_032 - (2048 * 1000 + 1000)
    block = 2048 * 512 + 9 * 512 * 512 + 512 * 2048 + 2 * (512 + 512 + 2048)
    reductions = (2048 * 512 + 2 * 512) + (2048 * 1024 + 2 * 1024)
    assert sum(p.numel() for p in model.parameters()) == backbone + block + reductions
    assert model.dims == {"feature": 1536, "embedding": 1536, "branch.global": 512, "branch.drop": 1024}


@pytest.mark.parametrize(("height", "width"), [(0.33, 1.0), (0.5, 0.5), (1.0, 1.0), (0.0, 1.0)])
def test_one_rectangle_is_hidden_from_the_whole_batch(height: float, width: float) -> None:
    torch.manual_seed(0)
    features = torch.rand(4, 3, 12, 8) + 1
    for _ in range(20):
        hidden = BatchDropBlock(height=height, width=width)(features) == 0
        assert (hidden == hidden[:1, :1]).all()
        rows, columns = hidden[0, 0].any(1), hidden[0, 0].any(0)
        if height:
            assert rows.sum() == round(12 * height)
            assert columns.sum() == round(8 * width)
            assert torch.equal(hidden[0, 0], rows[:, None] & columns)
            assert rows.nonzero().flatten().diff().eq(1).all()
            assert columns.nonzero().flatten().diff().eq(1).all()
        else:
            assert not hidden.any()


def test_every_row_is_hidden_at_some_time() -> None:
    torch.manual_seed(0)
    block = BatchDropBlock(height=0.33, width=1.0)
    features = torch.ones(1, 1, 12, 4)
    seen = sum((block(features) == 0)[0, 0, :, 0].int() for _ in range(200))
    assert (torch.as_tensor(seen) > 0).all()


def test_in_evaluation_nothing_is_hidden_and_the_order_is_kept() -> None:
    features = torch.rand(2, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    assert BatchDropBlock(height=0.5, width=1.0).eval()(features) is features
    model = Embedder(ModelSpec("timm:resnet18", 64, 32, network="bdb")).eval()
    images = torch.randint(0, 256, (3, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.embed(images), model.embed(images))
    torch.testing.assert_close(model.embed(images.flip(0)), model.embed(images).flip(0), atol=1e-5, rtol=1e-4)


def test_the_whole_does_not_see_the_drop() -> None:
    model = Embedder(ModelSpec("timm:resnet18", 96, 32, network="bdb"))
    images = torch.randint(0, 256, (4, 3, 96, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    first, second = model(images).branches, model(images).branches
    torch.testing.assert_close(first["global"], second["global"])
    assert not torch.allclose(first["drop"], second["drop"])
