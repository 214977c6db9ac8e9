"""OSNet: sizes as published, and the published network's own features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reseen.models import Embedder, ModelSpec, OSNet, SideInfo, complexity


@pytest.mark.parametrize(
    ("name", "millions", "mega_macs"),
    # Parameters and multiply-accumulates at 256x128, as the authors' model zoo gives them.
    [("osnet_x1_0", 2.2, 978.9), ("osnet_x0_75", 1.3, 571.8), ("osnet_x0_5", 0.6, 272.9), ("osnet_x0_25", 0.2, 82.3)],
)
def test_each_width_costs_what_its_authors_say(name: str, millions: float, mega_macs: float) -> None:
    cost = complexity(Embedder(ModelSpec(name, neck="none")), batch=1, repeats=1)
    assert round(cost.parameters / 1e6, 1) == millions
    assert cost.flops / 2e6 == pytest.approx(mega_macs, abs=0.06)


def test_streams_see_three_five_seven_and_nine_pixels() -> None:
    block = OSNet().eval().conv2[0]
    for stream, reach in ((block.conv2a, 1), (block.conv2b, 2), (block.conv2c, 3), (block.conv2d, 4)):
        x = torch.zeros(1, 16, 21, 21)
        y = x.clone()
        y[..., 10, 10] = 100.0
        moved = (stream(x) != stream(y)).any(1)[0].nonzero()
        assert moved.amin() >= 10 - reach
        assert moved.amax() <= 10 + reach
        assert (moved.amax() - moved.amin()) >= reach


@pytest.mark.parametrize("size", [(16, 16), (67, 33), (128, 64)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    network = OSNet().eval()
    features = network(torch.zeros(1, 3, *size), SideInfo())
    assert features.shape[:2] == (1, 128)
    assert network.pool(features).shape == (1, 512)


@pytest.mark.parametrize("weights", ["msmt17", "market1501"])
def test_published_weights_give_the_published_features(shared: Path, weights: str) -> None:
    golden = np.load(shared / "golden" / "osnet_x0_25_features.npz")
    folder = shared / "data" / "pku_reid" / "images"
    pictures = [Image.open(folder / f).resize((128, 256), Image.Resampling.BILINEAR) for f in golden["files"]]
    images = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures])
    model = Embedder(ModelSpec(weights=str(shared / "weights" / f"osnet_x0_25_{weights}.pth"))).eval()
    with torch.no_grad():
        cosine = torch.cosine_similarity(model(images).feature.double(), torch.from_numpy(golden[weights]).double())
    assert cosine.min() > 0.99999
    assert model.report is not None
    assert len(model.report.used) == 565
    assert model.report.left == ("classifier.weight", "classifier.bias")
