"""docs/losses.md tells of every loss, shows its curve, and its code runs."""

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn.functional import cross_entropy

from reseen import losses
from reseen.geometry import Relation, cosine, masked_mean
from reseen.losses import Loss, PairLoss

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "losses.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
NAMES = [
    name
    for name in losses.__all__
    if issubclass(getattr(losses, name), Loss) and not inspect.isabstract(getattr(losses, name))
]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    specification = importlib.util.spec_from_file_location("draw_losses", DOCS / "draw_losses.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_has_its_section_and_curve(name: str, drawing: ModuleType) -> None:
    assert re.search(rf"^###? .*\b{name}$", PAGE, flags=re.MULTILINE), "run python docs/draw_losses.py"
    if name in drawing.drawable():
        assert f"figures/losses/{name}.svg" in PAGE
        assert (DOCS / "figures" / "losses" / f"{name}.svg").is_file(), "run python docs/draw_losses.py"


class PullLoss(PairLoss):
    """Pull loss: positives towards 1.

    ``mean_i mean_p (1 - s_ip)``, cosines s.

    Args:
        scale: Of the loss.

    Note:
        Negatives play no part.
    """

    measure = cosine

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale

    def per_anchor(self, s: torch.Tensor, pair: Relation) -> torch.Tensor:
        return self.scale * masked_mean(1 - s, pair.positive)


def test_a_loss_without_a_section_gets_one_from_its_docstring(
    drawing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "PullLoss", PullLoss, raising=False)
    page = drawing.with_sections(PAGE, [losses.AdaSPLoss, PullLoss])
    assert drawing.with_sections(page, [losses.AdaSPLoss, PullLoss]) == page
    assert drawing.with_sections(page, [losses.AdaSPLoss]) == PAGE
    (added,) = re.findall(r"## Further losses\n\n(### PullLoss\n.*?)<!--", page, flags=re.DOTALL)
    for text in (
        "`mean_i mean_p (1 - s_ip)`, cosines",
        "\n- `scale`: Of the loss.\n",
        "*Note:* Negatives play no part.",
    ):
        assert text in added
    assert "figures/losses/PullLoss.svg" in added
    test_code_runs(re.findall(r"```python\n(.*?)```", added, flags=re.DOTALL)[0])


def test_the_page_s_generated_sections_are_up_to_date(drawing: ModuleType) -> None:
    assert drawing.with_sections(PAGE, [type(loss) for loss in drawing.drawable().values()]) == PAGE


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_code_runs(block: str) -> None:
    torch.manual_seed(0)
    identities = torch.arange(4).repeat(2)
    x = torch.randn(8, 16, requires_grad=True)
    namespace = {
        "cross_entropy": cross_entropy,
        "SGD": torch.optim.SGD,
        "features": x,
        "embeddings": 2 * x,
        "logits": x[:, :4],
        "identities": identities,
        "infrared": torch.arange(8) >= 4,
        "proxies": torch.randn(4, 16, requires_grad=True),
        "proxy_identities": torch.arange(4),
    }
    exec(block, namespace)
    assert namespace["loss"].isfinite()


def test_curves_are_drawn_from_the_losses(drawing: ModuleType, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    plt.switch_backend("svg")
    triplet = losses.HardTripletLoss()
    assert drawing.penalty(triplet, 4.0, 3.0) == pytest.approx(1.3)
    assert drawing.penalty(triplet, 3.0, 4.0) == 0
    drawing.draw(triplet, tmp_path / "curve.svg")
    drawing.draw_sparse(tmp_path / "sparse.svg")
    assert "distance of the negative" in (tmp_path / "curve.svg").read_text()
    hardest, adaptive, least_hard = (
        drawing.penalty_of_spread(loss(), 1.2) for loss in (losses.SPHLoss, losses.AdaSPLoss, losses.SPLHLoss)
    )
    assert hardest > adaptive > least_hard
