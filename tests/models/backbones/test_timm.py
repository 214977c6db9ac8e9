"""timm's networks as backbones: layouts, sizes, heads, cuts."""

import pytest
import torch

from reseen.models import Backbone, Embedder, ModelSpec, SideInfo


def backbone(name: str, height: int = 64, width: int = 32) -> Backbone:
    network: Backbone = Embedder(ModelSpec(f"timm:{name}", height, width)).network.backbone.eval()
    return network


def noise(height: int = 64, width: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


NAMES = ["resnet18", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224", "deit_tiny_distilled_patch16_224"]


@pytest.mark.parametrize("name", NAMES)
def test_the_own_vector_is_what_timm_gives_its_classifier(name: str) -> None:
    network = backbone(name)
    with torch.no_grad():
        torch.testing.assert_close(network.pool(network(noise(), SideInfo())), network.network(noise()))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224"])
def test_pooling_by_the_mean_and_the_networks_own_head_is_its_own_vector(name: str) -> None:
    network = backbone(name)
    with torch.no_grad():
        raw = network(noise(), SideInfo())
        torch.testing.assert_close(network.head(network.map(raw).mean((2, 3))), network.pool(raw), atol=1e-5, rtol=1e-4)


def test_tokens_become_a_map_row_by_row() -> None:
    network = backbone("vit_tiny_patch16_224", 64, 48)
    tokens = torch.arange(13.0)[None, :, None].expand(1, 13, 192)
    assert network.map(tokens)[0, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_make_the_whole(name: str) -> None:
    network = backbone(name)
    stem, body, tail = network.parts()
    with torch.no_grad():
        torch.testing.assert_close(tail(body(stem(noise()), SideInfo())), network(noise(), SideInfo()))


def test_without_its_head_a_network_gives_the_same_map() -> None:
    network = backbone("mobilenetv3_small_050")
    with torch.no_grad():
        before = network(noise(), SideInfo())
        network.drop_head()
        assert torch.equal(network(noise(), SideInfo()), before)
    assert not list(network.network.conv_head.parameters())


def test_a_network_that_cannot_be_cut_says_so() -> None:
    with pytest.raises(ValueError, match="expected a network that runs its children in order, got HighResolutionNet"):
        backbone("hrnet_w18_small").parts()


def test_a_network_of_one_size_refuses_another() -> None:
    with pytest.raises(ValueError, match="expected a network that takes pictures of 128x64, got EfficientFormer"):
        Embedder(ModelSpec("timm:efficientformer_l1", 128, 64))


def test_a_misspelt_name_is_met_with_the_right_one() -> None:
    with pytest.raises(ValueError, match=r"did you mean .*resnet50"):
        Embedder(ModelSpec("timm:resnet5O"))


def test_the_normalisation_is_the_networks_own() -> None:
    assert Embedder(ModelSpec("timm:vit_tiny_patch16_224", 64, 32)).pixels.mean.unique().tolist() == [127.5]
    assert len(Embedder(ModelSpec("timm:resnet18", 64, 32)).pixels.mean.unique()) == 3
