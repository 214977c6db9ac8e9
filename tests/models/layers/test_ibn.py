"""IBN-a and IBN-b in timm's ResNets."""

import pytest
import timm
import torch
from torch import nn

from reseen.models.layers.ibn import InstanceBatchNorm, add_ibn_a, add_ibn_b


def test_the_first_half_is_instance_norm_and_the_other_batch_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    norm = nn.BatchNorm2d(6)
    nn.init.normal_(norm.weight, generator=generator)
    nn.init.normal_(norm.bias, generator=generator)
    x = torch.randn(4, 6, 5, 3, generator=generator)
    y = InstanceBatchNorm(norm)(x)
    for c in range(6):
        for b in range(4):
            over = x[b, c] if c < 3 else x[:, c]
            expected = (x[b, c] - over.mean()) / (over.var(unbiased=False) + norm.eps).sqrt()
            torch.testing.assert_close(y[b, c], norm.weight[c] * expected + norm.bias[c], atol=1e-5, rtol=1e-5)


def test_in_evaluation_the_batch_half_uses_the_running_values_of_the_norm_it_replaced() -> None:
    norm = nn.BatchNorm2d(4)
    norm(torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0)))
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    half, whole = InstanceBatchNorm(norm).eval()(x), norm.eval()(x)
    torch.testing.assert_close(half[:, 2:], whole[:, 2:])
    assert not torch.allclose(half[:, :2], whole[:, :2])


def test_instance_norm_takes_out_the_style_of_each_picture() -> None:
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    restyled = x * torch.tensor([0.5, 2.0, 3.0]).view(3, 1, 1, 1) + 7
    norm = InstanceBatchNorm(nn.BatchNorm2d(4)).eval()
    torch.testing.assert_close(norm(x)[:, :2], norm(restyled)[:, :2], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 6), ("resnet50", 13)])
def test_ibn_a_changes_the_first_norm_of_each_block_of_three_stages(name: str, blocks: int) -> None:
    network = timm.create_model(name)
    parameters = sum(p.numel() for p in network.parameters())
    add_ibn_a(network)
    changed = [n for n, m in network.named_modules() if isinstance(m, InstanceBatchNorm)]
    assert len(changed) == blocks
    assert all(n.endswith("bn1") and n.startswith(("layer1", "layer2", "layer3")) for n in changed)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(("name", "widths"), [("resnet18", (64, 128)), ("resnet50", (256, 512))])
def test_ibn_b_norms_the_stem_and_the_ends_of_two_stages(name: str, widths: tuple[int, int]) -> None:
    network = timm.create_model(name).eval()
    add_ibn_b(network)
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
    assert sorted(m.num_features for m in norms) == sorted((64, *widths))
    # After the addition and before the last ReLU, every channel of every picture has mean 0 and variance 1.
    seen: list[torch.Tensor] = []
    block = network.layer1[-1]
    norm = (block.act3 if hasattr(block, "act3") else block.act2).IN
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    x = torch.randn(2, 64, 16, 8, generator=torch.Generator().manual_seed(0))
    y = network.layer1(x)
    torch.testing.assert_close(seen[0].mean((2, 3)), torch.zeros(2, widths[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0].var((2, 3), unbiased=False), torch.ones(2, widths[0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(y, seen[0].relu())


@pytest.mark.parametrize("convert", [add_ibn_a, add_ibn_b])
def test_other_networks_are_refused(convert: object) -> None:
    with pytest.raises(ValueError, match="expected a ResNet of timm, got EfficientNet"):
        convert(timm.create_model("tf_efficientnet_lite0"))  # type: ignore[operator]


def test_a_network_is_converted_once() -> None:
    network = timm.create_model("resnet18")
    add_ibn_a(network)
    with pytest.raises(ValueError, match="expected batch norm to replace"):
        add_ibn_a(network)
