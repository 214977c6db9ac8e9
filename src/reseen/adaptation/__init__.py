"""Adaptation of a model to pictures nobody has labelled: rounds of embedding, clustering and training."""

from reseen.adaptation.adaptation import Adaptation, Target, adapt
from reseen.adaptation.report import helped, write_adaptation_page
from reseen.adaptation.rounds import Memory, Round

__all__ = ["Adaptation", "Memory", "Round", "Target", "adapt", "helped", "write_adaptation_page"]
