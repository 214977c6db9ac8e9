"""Curves of the losses, and the sections of losses.md that nobody wrote by hand: ``python docs/draw_losses.py``.

A loss without a section of its own gets one, made from its docstring, between the two marks in losses.md. A curve is a
loss's penalty over the distance of a positive and of a negative.

One anchor, one positive and one negative (or, for classifiers, the weights of its identity and of another), at right
angles to one another as seen from the anchor, all of the same length. No formula is drawn: the losses are called.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from reseen import losses
from reseen.geometry import Candidates, euclidean
from reseen.losses import CenterLoss, ClassifierLoss, IdentityLoss, Loss, PairLoss, Wrapper

FOLDER = Path(__file__).parent / "figures" / "losses"
PAGE = Path(__file__).parent / "losses.md"
MARKS = ("<!-- from docstrings: python docs/draw_losses.py -->\n", "<!-- as far as here -->\n")
SECTION = """### {name}

{text}

![](figures/losses/{name}.svg)

```python
from reseen.losses import {name}

metric = {name}()
loss = cross_entropy(logits, identities) + metric(features, identities)
loss.backward()
```

"""
STEPS = 81
NEAR_TO_FAR = ["#08306b", "#2879b9", "#94c4df"]


def drawable() -> dict[str, Loss]:
    """Return every loss at its defaults, by name; wrappers change candidates, not penalties."""
    classes = [getattr(losses, name) for name in losses.__all__]
    kinds = [c for c in classes if issubclass(c, Loss) and not inspect.isabstract(c) and not issubclass(c, Wrapper)]
    return {c.__name__: c() for c in kinds}


def length_of(loss: Loss) -> float:
    """Return how long the embeddings are: 5 where lengths matter, so that distances reach 10."""
    by_length = isinstance(loss, (IdentityLoss, CenterLoss)) or (
        isinstance(loss, PairLoss) and loss.measure is euclidean
    )
    return 5.0 if by_length else 1.0


def at_distance(d: float, length: float, axis: int) -> Tensor:
    """Return the point at distance d from (length, 0, 0), turned from it towards an axis."""
    angle = 2 * math.asin(d / (2 * length))
    point = torch.zeros(3, dtype=torch.float64)
    point[0], point[axis] = length * math.cos(angle), length * math.sin(angle)
    return point


@torch.no_grad()
def penalty(loss: Loss, to_positive: float, to_negative: float) -> float:
    """Return what one anchor costs with one positive and one negative at these distances."""
    length = length_of(loss)
    anchor = torch.tensor([[length, 0.0, 0.0]], dtype=torch.float64)
    others = torch.stack([at_distance(to_positive, length, 1), at_distance(to_negative, length, 2)])
    same = torch.tensor([0])
    if isinstance(loss, ClassifierLoss):
        loss.weight = nn.Parameter(others)
        return loss(anchor, same).item()
    return loss(anchor, same, Candidates(torch.cat([anchor, others]), torch.tensor([0, 0, 1]), 0)).item()


def draw(loss: Loss, path: Path) -> None:
    """Draw one loss's two curves into an SVG file."""
    farthest = 2 * length_of(loss)
    steps = [farthest * i / (STEPS - 1) for i in range(STEPS)]
    held = [0.25 * farthest, 0.5 * farthest, 0.75 * farthest]
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True, layout="constrained")
    for colour, other in zip(NEAR_TO_FAR, held, strict=True):
        axes[0].plot(steps, [penalty(loss, d, other) for d in steps], colour, label=f"{other:g}")
        axes[1].plot(steps, [penalty(loss, other, d) for d in steps], colour, label=f"{other:g}")
    for axis, moved, still in zip(axes, ("positive", "negative"), ("negative", "positive"), strict=True):
        axis.set_xlabel(f"distance of the {moved}")
        axis.legend(title=f"{still} at", fontsize="small", title_fontsize="small", frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("loss")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


@torch.no_grad()
def penalty_of_spread(loss: Loss, spread: float) -> float:
    """Return what an identity of three images costs, the outer ones so far apart, with another at 1 from the middle."""
    half = math.asin(spread / 2)
    images = torch.tensor([[math.cos(a), math.sin(a), 0.0] for a in (-half, 0.0, half)], dtype=torch.float64)
    x = torch.cat([images, at_distance(1.0, 1.0, 2)[None]])
    return loss(x, torch.tensor([0, 0, 0, 1])).item()


def draw_sparse(path: Path) -> None:
    """Draw how the sparse losses differ into an SVG file."""
    steps = [1.9 * i / (STEPS - 1) for i in range(STEPS)]
    figure, axis = plt.subplots(figsize=(4, 2.4), layout="constrained")
    for colour, loss in zip(NEAR_TO_FAR, (losses.SPHLoss(), losses.AdaSPLoss(), losses.SPLHLoss()), strict=True):
        axis.plot(steps, [penalty_of_spread(loss, d) for d in steps], colour, label=type(loss).__name__)
    axis.set_xlabel("distance of an identity's outer two images")
    axis.set_ylabel("loss")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def section(kind: type[Loss]) -> str:
    """Return the section of a loss, from its docstring: the text as it is, arguments and notes as paragraphs."""
    text = (inspect.getdoc(kind) or "").replace("``", "`").replace("::\n", ":\n")
    text = re.sub(r"^Args:\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^    (\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)
    text = re.sub(r"^Note:\n    ", "*Note:* ", text, flags=re.MULTILINE)
    return SECTION.format(name=kind.__name__, text=text)


def with_sections(page: str, kinds: list[type[Loss]]) -> str:
    """Return losses.md with a section between its marks for each of these losses that has none by hand."""
    before, start, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    by_hand = before + after
    missing = [kind for kind in kinds if not re.search(rf"^###? .*\b{kind.__name__}$", by_hand, flags=re.MULTILINE)]
    further = ["## Further losses\n\n", *map(section, missing)] if missing else []
    return "".join([before, start, *further, end, after])


def main() -> None:
    """Draw what the command line names, and write the sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="losses; all if none")
    parser.add_argument("--out", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    matplotlib.use("svg")
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "reseen", "font.size": 9})
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, loss in drawable().items():
        if not chosen.names or name in chosen.names:
            draw(loss, chosen.out / f"{name}.svg")
    if not chosen.names:
        draw_sparse(chosen.out / "sparse.svg")
    if chosen.out == FOLDER:
        PAGE.write_text(with_sections(PAGE.read_text(), [type(loss) for loss in drawable().values()]))


if __name__ == "__main__":
    main()
