import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from tests.reporting.reading import Page
from torch import Tensor, nn

from reseen.errors import DataError
from reseen.models import Embedder, ModelSpec
from reseen.reporting import attention, write_attention
from reseen.reporting.attention_page import legend_colors, overlay
from reseen.types import Sample


class Convolutions(nn.Module):
    """Two convolutions with a ReLU in place after each, an average, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 5, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(5, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images.float() / 255).mean((2, 3)))


def vit(**options: Any) -> nn.Module:
    return timm.models.VisionTransformer(
        img_size=(32, 16), patch_size=8, embed_dim=12, depth=2, num_heads=2, num_classes=0, **options
    )


def swin() -> nn.Module:
    return timm.models.SwinTransformer(
        img_size=(32, 32), patch_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 1), window_size=4, num_classes=0
    )


def weighted_map(model: nn.Module, layer: nn.Module, images: Tensor, reference: Tensor | None, prefix: int) -> Tensor:
    """Grad-CAM by its definition: each channel of the map times its mean gradient, summed, and what is negative cut."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: kept.append(output) or output.clone())
    embedding = model(images)
    handle.remove()
    target = embedding.norm(dim=1) if reference is None else F.cosine_similarity(embedding, reference)
    (gradient,) = torch.autograd.grad(target.sum(), kept[0])
    activation = kept[0].detach()
    if activation.ndim == 3:
        activation, gradient = (
            (t[:, prefix:].unflatten(1, (4, 2)).permute(0, 3, 1, 2)) for t in (activation, gradient)
        )
    elif isinstance(layer, nn.LayerNorm):
        activation, gradient = (t.permute(0, 3, 1, 2) for t in (activation, gradient))
    heat = (gradient.mean((2, 3), keepdim=True) * activation).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[-2:], mode="bilinear")[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)


CASES: dict[str, tuple[Callable[[], Any], str, int]] = {
    "convolutions": (Convolutions, "body", 0),
    "vit, class token": (vit, "blocks.1.norm1", 1),
    "vit, registers": (lambda: vit(reg_tokens=3), "blocks.1.norm1", 4),
    "vit, mean of tokens": (lambda: vit(global_pool="avg", fc_norm=False), "norm", 1),
    "swin": (swin, "norm", 0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("toward_another", [False, True])
def test_the_last_map_is_explained_as_defined(case: str, toward_another: bool) -> None:
    torch.manual_seed(3)
    make, name, prefix = CASES[case]
    model = make().eval()
    images = torch.rand(3, 3, 32, 32 if case == "swin" else 16)
    reference = model(torch.rand_like(images)).detach() if toward_another else None
    expected = weighted_map(model, model.get_submodule(name), images, reference, prefix)
    found = attention(model, images, reference=reference)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert found.max() == 1, "a map that is nowhere positive tells nothing"


def test_a_named_layer_is_explained() -> None:
    torch.manual_seed(3)
    model, images = Convolutions().eval(), torch.rand(2, 3, 32, 16)
    layer = model.body[0]
    found = attention(model, images, layer=layer)
    torch.testing.assert_close(found, weighted_map(model, layer, images, None, 0))
    assert found.max() == 1


def test_it_sees_what_the_target_comes_from() -> None:
    """A network that adds up the red of a picture looks at the red part of it."""

    class Red(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.AvgPool2d(4)

        def forward(self, images: Tensor) -> Tensor:
            return self.map(images)[:, :1].mean((2, 3))

    image = torch.zeros(1, 3, 32, 32)
    image[:, 1] = 1
    image[:, 0, 20:28, 4:12] = 1
    heat = attention(Red(), image)[0]
    assert heat[22:26, 6:10].min() > 0.9
    assert heat[:16].max() == 0


def test_the_model_is_left_as_it_was() -> None:
    model = Convolutions().train()
    model.body[3].eval()
    model.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    attention(model, torch.rand(2, 3, 32, 16))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_one_picture_at_a_time_gives_the_same() -> None:
    torch.manual_seed(0)
    model, images = vit().eval(), torch.rand(3, 3, 32, 16)
    together = attention(model, images)
    torch.testing.assert_close(together, torch.cat([attention(model, images[n : n + 1]) for n in range(3)]))


def test_no_map_is_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    with pytest.raises(ValueError, match="expected a network with a map of positions, got Sequential"):
        attention(flat, torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="expected a layer that gives a map of positions, got Linear"):
        attention(flat, torch.rand(1, 3, 8, 8), layer=flat[1])


def test_an_overlay_is_as_large_as_its_picture_and_hot_where_the_heat_is() -> None:
    picture = np.full((40, 20, 3), 128, np.uint8)
    heat = torch.zeros(8, 4)
    heat[:4] = 1
    drawn = overlay(picture, heat)
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[30:], picture[30:])
    assert (drawn[:10] != picture[:10]).any()


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.manual_seed(0)
    return Embedder(ModelSpec(height=64, width=32)).eval()


def test_models_stand_side_by_side(model: Embedder, draw_sample: Callable[..., Sample], tmp_path: Path) -> None:
    samples = [draw_sample(1, 1, 0), draw_sample("<b>", 2, 0)]
    page = Page(write_attention({"one": model, "two": model}, samples, tmp_path / "looks.html"))
    page.assert_self_contained()
    assert [shot.text.strip() for shot in page.shots] == ["picture", "one", "two"] * 2
    assert page.shots[1].picture == page.shots[2].picture != page.shots[0].picture
    assert "identity <b>" in page.words
    assert "norm of the embedding" in " ".join(page.words)
    assert {"no part in it", "the largest part"} <= set(page.words)  # a legend
    assert page.headings == ["Where the network looks", "Attention"]  # the pictures are headed one level below


def test_the_legend_has_the_colours_of_the_maps() -> None:
    colors = [tuple(map(int, re.findall(r"\d+", color))) for color in legend_colors()]
    assert colors[0] == (150, 150, 150)  # no attention leaves a grey picture as it is
    hottest = overlay(np.full((1, 1, 3), 150, np.uint8), torch.ones(1, 1))[0, 0]
    assert colors[-1] == tuple(hottest.tolist())
    assert len(set(colors)) == 9


def test_references_are_shown_and_named_as_the_target(
    model: Embedder, draw_sample: Callable[..., Sample], tmp_path: Path
) -> None:
    sample, other = draw_sample(1, 1, 0), draw_sample(1, 2, 0)
    page = Page(write_attention({"one": model}, [sample], tmp_path / "looks.html", references=[other]))
    assert [shot.text.strip() for shot in page.shots] == ["picture", "reference", "one"]
    assert "similarity to the reference" in " ".join(page.words)


def test_a_sheet_is_one_picture(model: Embedder, draw_sample: Callable[..., Sample], tmp_path: Path) -> None:
    samples = [draw_sample(1, 1, 0), draw_sample(2, 1, 0), draw_sample(3, 1, 0)]
    path = write_attention({"one": model}, samples, tmp_path / "new" / "looks.png")
    with Image.open(path) as sheet:
        assert sheet.size == (128 * 2 + 8 * 3, 28 + 3 * (256 + 8) + 20 + 8)
        bar = np.asarray(sheet)[-18, 90:170].astype(int)  # the legend, from grey to the hottest colour
        assert len(np.unique(bar, axis=0)) > 50


def test_what_cannot_be_looked_at_is_refused(
    model: Embedder, draw_sample: Callable[..., Sample], tmp_path: Path
) -> None:
    one = draw_sample(1, 1, 0)
    with pytest.raises(ValueError, match="at least one sample"):
        write_attention({"one": model}, [], tmp_path / "looks.html")
    with pytest.raises(ValueError, match="one reference for each of 1 samples, got 2"):
        write_attention({"one": model}, [one], tmp_path / "looks.html", references=[one, one])
    with pytest.raises(DataError, match=r"gone\.jpg"):
        write_attention({"one": model}, [Sample(str(tmp_path / "gone.jpg"), 1)], tmp_path / "looks.html")
