"""How often dense and sparse sampling draw positive pairs that look nothing alike."""

from reseen.studies.harmful_pairs.study import harmful_pairs

__all__ = ["harmful_pairs"]
