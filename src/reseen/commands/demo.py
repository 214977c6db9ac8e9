"""``reseen demo``."""

import itertools
import json
from pathlib import Path

from reseen.cli.parser import call
from reseen.terminal import Terminal


def demo(*, recipe: str = "demo", out: Path | None = None) -> None:
    """Train, evaluate and report on the built-in synthetic data, on all cores that are idle.

    Args:
        recipe: Recipe to run: demo, or demo_infrared for visible and infrared pictures.
        out: The run's folder; runs/demo, or runs/demo-2 and so on where that is taken, if not given.
    """
    folder = out or next(path for path in _places(recipe) if not path.exists())
    call("train", ["--config", recipe, "--out", str(folder)])
    call("report", [str(folder)])
    measured = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    before, *_, after = (100 * entry["mean_ap"] for entry in measured if "mean_ap" in entry)
    Terminal().print(
        f"\nmAP before training {before:.1f}, after {after:.1f}\nlook at {folder / 'report.html'}\n"
        "next, with your own pictures in a table: reseen train --data Table --data.path people.csv --out runs/first\n"
        f"or search with this model: reseen index gallery --model {folder} --pictures FOLDER"
    )


def _places(recipe: str) -> itertools.chain[Path]:
    return itertools.chain(
        [Path("runs", recipe)], (Path("runs", f"{recipe}-{number}") for number in itertools.count(2))
    )
