"""Adaptation of a model to unlabelled pictures: rounds of embedding, clustering and training."""

from reseen.adaptation.adaptation import Adaptation, Target, adapt
from reseen.adaptation.report import outcome_in_words, write_adaptation_page
from reseen.adaptation.rounds import Memory, Round

__all__ = ["Adaptation", "Memory", "Round", "Target", "adapt", "outcome_in_words", "write_adaptation_page"]
