"""ResNets: the last stride, and the stems of other projects."""

import pytest
import timm
import torch

from reseen.models import Embedder, ModelSpec, ResNetOptions, SideInfo, complexity
from reseen.models.backbones.resnet import keep_last_map


def shape(name: str, last_stride: int) -> tuple[int, ...]:
    options = ResNetOptions(last_stride=last_stride)  # type: ignore[arg-type]
    network = Embedder(ModelSpec(f"timm:{name}", 128, 64, resnet=options)).network.backbone.eval()
    return tuple(network.map(network(torch.zeros(1, 3, 128, 64), SideInfo())).shape[2:])


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet26d", "resnetblur50", "resnest14d", "res2net50d"])
def test_without_the_last_stride_the_map_is_a_sixteenth(name: str) -> None:
    assert shape(name, 2) == (4, 2)
    assert shape(name, 1) == (8, 4)


def test_taking_out_the_stride_changes_no_weight() -> None:
    network = timm.create_model("resnet50")
    before = {n: t.clone() for n, t in network.state_dict().items()}
    keep_last_map(network)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[n], before[n]) for n in before)


def test_resnet50_costs_what_the_field_says() -> None:
    # 23.5 million parameters and 4.05 billion multiply-accumulates at 256x128 with last stride 1 (as in fast-reid).
    cost = complexity(Embedder(ModelSpec("timm:resnet50", neck="none")), batch=1, repeats=1)
    assert cost.parameters == 25_557_032 - (2048 * 1000 + 1000)
    assert cost.flops / 2e9 == pytest.approx(4.05, abs=0.01)


def test_the_stems_of_other_projects() -> None:
    def run(stem: str, height: int) -> torch.Tensor:
        torch.manual_seed(0)
        options = ResNetOptions(stem=stem)  # type: ignore[arg-type]
        network = Embedder(ModelSpec("timm:resnet18", height, 32, resnet=options)).network.backbone.eval().network
        return network.maxpool(network.act1(network.bn1(network.conv1(torch.randn(1, 3, height, 32)))))

    usual, unrectified, ceiling = (run(stem, 64) for stem in ("usual", "strong-baseline", "fast-reid"))
    assert usual.min() >= 0 > unrectified.min()
    torch.testing.assert_close(unrectified.clamp(min=0), usual)
    # Windows of the same size start one pixel later, so a picture's border counts differently.
    assert ceiling.shape == usual.shape
    assert not torch.equal(ceiling, usual)


@pytest.mark.parametrize(
    "options", [ResNetOptions(ibn="a"), ResNetOptions(non_local="agw"), ResNetOptions(last_stride=2)]
)
def test_options_that_a_network_has_no_use_for_are_refused(options: ResNetOptions) -> None:
    for name in ("osnet_x0_25", "timm:vit_tiny_patch16_224"):
        with pytest.raises(ValueError, match=r"expected a ResNet of timm for .*; leave resnet as it is"):
            Embedder(ModelSpec(name, 64, 32, resnet=options))
