"""Non-local blocks against a loop over pairs of positions."""

import timm
import torch

from reseen.models.layers.non_local import NonLocal, add_non_local


def test_each_position_gathers_from_every_other_by_resemblance() -> None:
    torch.manual_seed(0)
    block = NonLocal(6, 3).eval()
    torch.nn.init.normal_(block.W[1].weight)
    x = torch.randn(2, 6, 3, 2)
    y = block(x)
    theta, phi, g = block.theta(x).flatten(2), block.phi(x).flatten(2), block.g(x).flatten(2)
    for b in range(2):
        for i in range(6):
            gathered = sum((theta[b, :, i] @ phi[b, :, j]) * g[b, :, j] for j in range(6)) / 6
            added = block.W(gathered.view(1, 3, 1, 1)).flatten()  # type: ignore[union-attr]
            torch.testing.assert_close(y[b, :, i // 2, i % 2], x[b, :, i // 2, i % 2] + added)


def test_new_blocks_change_nothing() -> None:
    network = timm.create_model("resnet18", num_classes=0).eval()
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    before = network.forward_features(images)
    add_non_local(network)
    torch.testing.assert_close(network.forward_features(images), before)


def test_blocks_stand_after_the_last_two_of_stage_2_and_the_last_three_of_stage_3() -> None:
    network = timm.create_model("resnet50")
    add_non_local(network)
    names = [n.split(".act")[0] for n, m in network.named_modules() if isinstance(m, NonLocal)]
    assert names == ["layer2.2", "layer2.3", "layer3.3", "layer3.4", "layer3.5"]


def test_parameters_are_those_of_four_pointwise_layers_and_a_norm() -> None:
    def expected(channels: int, middle: int) -> int:
        return 3 * (channels * middle + middle) + (middle * channels + channels) + 2 * channels

    for one_channel in (False, True):
        network = timm.create_model("resnet50")
        before = sum(p.numel() for p in network.parameters())
        add_non_local(network, one_channel=one_channel)
        added = sum(p.numel() for p in network.parameters()) - before
        assert added == sum(expected(c, 1 if one_channel else c // 2) for c in (512, 512, 1024, 1024, 1024))
