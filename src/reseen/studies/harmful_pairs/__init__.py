"""Harmful positive pairs, which look nothing alike: how often dense and sparse sampling draw them."""

from reseen.studies.harmful_pairs.study import harmful_pairs

__all__ = ["harmful_pairs"]
