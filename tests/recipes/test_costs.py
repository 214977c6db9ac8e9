"""What recipes cost: counts against counts by hand, estimates against sums by hand."""

import dataclasses

import pytest
import torch

from reseen.models import Embedder, ModelSpec, ResNetOptions, ViTOptions, kept_bytes
from reseen.recipes.costs import (
    cost_of,
    counted_cost,
    counted_networks,
    network_cost,
    network_label,
    to_keep,
    training_pictures,
)

TINY = ModelSpec("timm:resnet18", 64, 32, neck="none")
AGAIN = "python -c 'from reseen.recipes.costs import write_costs; write_costs()'"


def settings(**changes: object) -> dict:
    return {
        "data": {"class_path": "Market1501"},
        "model": {
            "backbone": "timm:resnet50.tv_in1k",
            "height": 256,
            "width": 128,
            "pooling": "average",
            "neck": "bnneck",
            "resnet": {"stem": "fast-reid"},
        },
        "batches": {"identities": 16, "images": 4},
        "schedule": {"epochs": 120, "optimizer": "adam"},
        **changes,
    }


def test_a_label_tells_networks_apart_and_leaves_their_weights_out() -> None:
    assert network_label(TINY) == "timm:resnet18, 64 x 32, neck none"
    assert network_label(
        dataclasses.replace(TINY, backbone="timm:resnet18.tv_in1k", weights="imagenet")
    ) == network_label(TINY)
    options = ResNetOptions(ibn="a", stem="fast-reid")
    assert (
        network_label(dataclasses.replace(TINY, resnet=options))
        == f"{network_label(TINY)}, resnet.ibn a, resnet.stem fast-reid"
    )
    vit = ModelSpec("timm:vit_tiny_patch16_224", vit=ViTOptions(cameras=("a", "b")))
    assert network_label(vit) == "timm:vit_tiny_patch16_224, 256 x 128, vit.cameras 2"


def test_every_recipe_s_network_stands_in_the_table() -> None:
    assert set(to_keep()) == set(counted_networks()), f"count again: {AGAIN}"


def test_a_network_that_does_not_stand_there_is_counted() -> None:
    assert network_label(TINY) not in counted_networks()
    assert network_cost(TINY).parameters == sum(p.numel() for p in Embedder(TINY).parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(counted_networks()))
def test_every_network_is_counted_as_it_was(name: str) -> None:
    assert counted_cost(to_keep()[name]) == counted_networks()[name]


def test_what_resnet_50_is_known_to_cost() -> None:
    network = cost_of(settings()).network
    assert network.parameters == 25_557_032 - 2048 * 1000 - 1000 + 2 * 2048  # torchvision's, a neck for its classifier
    # 4.09 GMAC at 224 x 224; here 256 x 128 and no stride in the last stage, whose three blocks then cost four times.
    assert network.flops / 2e9 == pytest.approx(4.05, abs=0.01)


def test_what_is_kept_for_the_way_back() -> None:
    model = Embedder(TINY)
    before = {name: value.clone() for name, value in model.named_buffers()}
    small, wide = kept_bytes(model), kept_bytes(Embedder(dataclasses.replace(TINY, height=128, width=64)))
    # At the least, what its 20 convolutions take: the picture, the stem's map and those of the blocks.
    assert small > 4 * (3 * 64 * 32 + 64 * 32 * 16 + 64 * 16 * 8)
    assert wide / small == pytest.approx(4, rel=0.05)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_the_estimates_by_hand() -> None:
    cost = cost_of(settings())
    parameters, flops, kept = dataclasses.astuple(cost.network)
    assert cost.memory == 16 * parameters + 64 * kept  # weights, gradients, Adam's two; a batch of 64
    assert cost.flops == 3 * flops * 12_936 * 120
    assert cost.hours(10.0) == pytest.approx(cost.flops / 1e13 / 3600)
    assert 0.5 < cost.hours(10.0) < 2
    half = cost_of(settings(precision="fp16", schedule={"epochs": 120, "optimizer": "sgd"}))
    assert half.memory == 12 * parameters + 32 * kept
    beside = cost_of(settings(candidates={"class_path": "MoReID"}))
    assert beside.flops == pytest.approx(cost.flops * 4 / 3)
    assert beside.memory == cost.memory + 4 * parameters
    both = cost_of(settings(batches={"identities": 8, "images": 4, "by_modality": True}))
    assert both.memory == cost.memory


def test_pictures_are_those_of_the_data_set_s_part() -> None:
    def of(name: str, **arguments: object) -> int | None:
        return training_pictures({"class_path": name, "init_args": arguments})

    assert of("CUHK03", boxes="detected") == 7_365
    assert (of("MSMT17", with_val=False), of("MSMT17", with_val=True)) == (30_248, 32_621)
    assert of("Synthetic") is None
    assert cost_of(settings(data={"class_path": "Synthetic"})).hours(10.0) is None
