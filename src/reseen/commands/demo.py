"""``reseen demo``."""

import logging
from pathlib import Path

from rich.console import Console

from reseen import training
from reseen.commands.evaluate import measure, print_scores, write_report
from reseen.datasets import Synthetic
from reseen.images import IdentityBatches
from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec
from reseen.reporting import write_report as write_page
from reseen.training import Schedule, Term
from accelerate.utils import set_seed


def demo(*, out: Path = Path("demo"), epochs: int = 12, seed: int = 0) -> None:
    """Train, evaluate and report on the built-in synthetic data.

    Args:
        out: The run's folder; it must not hold another run.
        epochs: How long to train.
        seed: Of everything random.
    """
