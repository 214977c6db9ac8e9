"""PCB: names, dimensions and parameters as in the paper."""

import torch

from reseen.models import Embedder, ModelSpec


def test_six_strips_of_256_components() -> None:
    model = Embedder(ModelSpec("timm:resnet50", 384, 128, network="pcb")).eval()
    images = torch.randint(0, 256, (1, 3, 384, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    outputs = model(images)
    assert list(outputs.branches) == [f"strip_{i}" for i in range(1, 7)]
    assert outputs.embedding.shape == (1, 6 * 256)
    # ResNet-50 without its classifier; then 2048 to 256 without bias, and a norm, for each strip.
    backbone = 25_557_032 - (2048 * 1000 + 1000)
    assert sum(p.numel() for p in model.parameters()) == backbone + 6 * (2048 * 256 + 2 * 256)


def test_a_strip_is_the_mean_of_its_rows() -> None:
    model = Embedder(ModelSpec("timm:resnet18", 192, 64, network="pcb")).eval()
    network = model.network
    images = torch.randint(0, 256, (2, 3, 192, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = network.backbone.network.forward_features(model.pixels(images))
        outputs = model(images)
        assert features.shape[2] == 12
        for i in range(6):
            reduction = network.reductions.each[i]
            expected = reduction.neck.bn(reduction.linear(features[:, :, 2 * i : 2 * i + 2].mean((2, 3))), None).relu()
            torch.testing.assert_close(outputs.branches[f"strip_{i + 1}"], expected, atol=1e-5, rtol=1e-4)
