"""``reseen demo``."""

import json
from pathlib import Path

from rich.console import Console

from reseen.commands.calling import call


def demo(*, out: Path = Path("runs/demo")) -> None:
    """Train, evaluate and report on the built-in synthetic data.

    Args:
        out: The run's folder; it must not hold another run.
    """
    call("train", ["--config", "demo", "--out", str(out)])
    call("report", [str(out)])
    measured = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    before, after = (100 * [m["mean_ap"] for m in measured if "mean_ap" in m][which] for which in (0, -1))
    Console(highlight=False).print(
        f"\nmAP before training {before:.1f}, after {after:.1f}\nlook at {out / 'report.html'}"
    )
